"""The Mirror VIP controller: decides who holds the VIP, moves it, and proves it (see docs/architecture.md)."""
