"""The managed identity endpoint, token checks and rights."""
