"""Microsoft.Network: NICs, operations, public IPs, virtual networks, checks of a PUT and moveIpConfigurations."""
