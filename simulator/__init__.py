"""A small, seeded simulation of Azure Resource Manager and Microsoft.Network, for tests only; see README.md."""
