"""The graph: operators come in as the program is put together, one lineage a batch and output goes out.

A node says how the lineage of a batch follows from its parents'. Nodes with memory (windows, state) take part in
every batch, whether an output asks for them or not.
"""
