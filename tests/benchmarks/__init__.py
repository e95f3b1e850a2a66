"""Benchmarks: our server and its peers under the same load, in the same run. `python -m tests.benchmarks.run`."""
