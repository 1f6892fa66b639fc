"""Sources, one file a connector: what the outside holds or sends comes in, splits and blocks go out.

`memory` and `socket_text` are feeds of blocks, `files` is a replayable source (`formats` reads them), `queue`
gives ready batches.
Receivers that users write are run by `millstream.ingest`.
"""
