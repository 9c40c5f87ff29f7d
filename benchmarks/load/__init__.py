"""What the benchmarks of the collector share: requests to send, processes to measure, a store to fill."""
