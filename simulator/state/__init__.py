"""What the simulated Azure remembers: resources, clocks, rate limits and the network's path."""
