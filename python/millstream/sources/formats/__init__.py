"""Formats of files, one file a format: the path of a whole file comes in, its records go out.

`file_format` is the port, `chosen` finds a format by its name, `unpacked` reads files that may be compressed.
"""
