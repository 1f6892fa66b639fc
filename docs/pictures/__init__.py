"""Pictures of what operators do to batches.

Comes in: programs and batches, in `families.py`. Goes out: an SVG file of each, drawn from what the programs put out
when they are run. `python -m docs.pictures` draws all of them anew.
"""
