"""The measurements of `make bench`: ours beside `az` and the published SDK script, on the same simulated Azure."""
