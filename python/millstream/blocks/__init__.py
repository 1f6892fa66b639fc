"""Blocks and logs on storage: bytes come in, records that survive a crash go out."""
