"""Time, chance, disk and threads: the only room that touches them. Nothing comes in; an `Environment` goes out."""
