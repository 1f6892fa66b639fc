"""Ingest: records that were pushed come in, blocks stamped with a batch time go out.

`block_buffer` is where records wait; `receiver_feed` runs a user's receiver in front of it, in this process
(`receiver_session`) or in one of its own (`process_session` here, `receiver_process` and `block_sender` there,
`frame_socket` between the two).
"""
