"""The test-only management API under /simulator."""
