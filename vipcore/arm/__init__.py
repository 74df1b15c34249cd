"""What we ask of Azure Resource Manager, how often, and what its answers mean."""
