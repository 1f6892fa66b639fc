"""The world of a simulation: storage that fails and forgets, from a seed.

Comes in: a generator of chance. Goes out: ports of the environment that do what real ones do at their worst.
"""
