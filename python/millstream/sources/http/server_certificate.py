"""The certificate of a server, for TLS."""

from __future__ import annotations

import os
import ssl
from typing import Any

from millstream.errors import ConfigurationError


class ServerCertificate:
    """Files of a certificate chain and its private key, read once to see that they work.

    Args:
        certificate: file in PEM form, the server's own certificate first.
        key: file of the private key without a password; None: it is in the same file.

    Raises:
        ConfigurationError: a file is missing, cannot be read, or holds something else.
    """

    def __init__(self, certificate: str | os.PathLike[str] | None, key: str | os.PathLike[str] | None) -> None:
        if certificate is None:
            raise ConfigurationError(
                "A key needs its certificate.", detail=f"key={os.fspath(key or '')!r}.", hint="Give certificate= too."
            )
        self._certificate = os.fspath(certificate)
        self._key = None if key is None else os.fspath(key)
        try:
            # Why a password that is empty: without one OpenSSL would ask for it in the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as error:
            missing = [name for name in (self._certificate, self._key) if name is not None and not os.path.exists(name)]
            raise ConfigurationError(
                f"There is no file {missing[0]}." if missing else f"The certificate cannot be used: {error}.",
                detail=f"certificate={self._certificate!r}, key={self._key!r}.",
                hint="Give the files of a certificate chain and of its private key without a password, in PEM form.",
            ) from error

    def arguments(self) -> dict[str, Any]:
        """Give what uvicorn is configured by."""
        return {"ssl_certfile": self._certificate, "ssl_keyfile": self._key}
