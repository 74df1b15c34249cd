"""Microsoft.Network: NICs, their operations, public IPs, virtual networks and the preview move."""
