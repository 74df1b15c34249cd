"""The status pages of the mirror's members."""
