"""Observation: events come in from the driver, listeners and figures go out. Nothing here can change a decision."""
