"""Bringing the VIPs to the desired member's NIC, under a lease."""
