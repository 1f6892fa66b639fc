"""What survives the process: the journal, checkpoints, and what a new driver makes of them."""
