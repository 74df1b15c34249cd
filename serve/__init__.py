"""The Function app on this machine: Microsoft's worker runtime in a small host of our own, and Azurite beside it."""
