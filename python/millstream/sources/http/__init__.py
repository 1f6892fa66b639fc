"""Records that come over HTTP: posted to a server of ours, or sent by a service that we connect to.

`http_receiver` serves; `post_endpoint` answers one request after the checks of `bearer_tokens` and `request_body`, and
`body_decoder` makes records of the body. `sse_receiver` and `websocket_receiver` connect to a service, by way of
`service_receiver`, which has what they share.
"""
