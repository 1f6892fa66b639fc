"""Encoding: Python objects to bytes and back.

In come values, records and functions; out go bytes for another process on this machine, copies that share
nothing with what they were made from, and errors that name the part that cannot be encoded.
"""
