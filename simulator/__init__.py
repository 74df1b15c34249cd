"""A small, seeded simulation of Azure Resource Manager and Microsoft.Network (see README.md); for tests only."""
