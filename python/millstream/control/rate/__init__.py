"""Rate controllers: measured batches come in, limits go out. Nothing here knows a clock, a thread or an input."""
