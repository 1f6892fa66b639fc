"""RDDs: a user's calls come in as lineage; actions hand it, with what they want of it, to an injected runner."""
