"""The Mirror VIP controller: decides who holds the VIP, moves it, and proves it (see docs/architecture.md)."""

VERSION = "0.9.0"
"""In every answer, in the log and in the package's name; CHANGELOG.md says what is in it."""
