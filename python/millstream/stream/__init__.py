"""What users write: a `DStream` is a node of the graph, with methods that add the next one."""
