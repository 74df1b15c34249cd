"""The status pages of the mirror members."""
