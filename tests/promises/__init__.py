"""The production code on a virtual clock: a simulated Azure, a table in memory, and instances that may die at any effect."""
