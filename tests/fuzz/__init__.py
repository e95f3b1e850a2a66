"""The fuzzer against real servers: ours, broken ones, and one of another make."""
