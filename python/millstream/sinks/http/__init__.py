"""Batches that are posted to a service.

`http_sink` cuts them into parts, `http_delivery` posts one until it is taken or refused.
"""
