"""All data of one simulated cloud: resources, event clock, address ledger, data path, rate limits, latencies and its world."""
