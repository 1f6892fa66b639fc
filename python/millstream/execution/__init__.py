"""Execution: lineage comes in, results go out.

The scheduler cuts lineage into stages at shuffles and hands their tasks to a backend; executors run them with
fused loops and hold the state that is pinned to them.
"""
