"""Who shall hold the VIP, and what a mirror needs now."""
