"""Keyed state: what operators remember from batch to batch, versioned by batch time.

In come pairs, one partition of one operator at a time, and the instructions begin, roll back and commit; out go
results, views of the state, and deltas. A batch works in a version of its own over the committed values, so
rolling it back is dropping that version, and every cost is proportional to the keys that a batch touches.
"""
