"""Micro-batch stream processing for Python."""
