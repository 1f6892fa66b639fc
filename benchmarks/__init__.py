"""Benchmarks: each module is a command, `python -m benchmarks.NAME`, that prints ratios measured in one run."""
