"""Where parts are kept that a service refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from millstream.environment.environment import Environment
from millstream.environment.opening import storage_of
from millstream.sinks.http.http_delivery import Refusal
from millstream.sinks.http.http_part import HttpPart


class RefusedParts:
    """One file of JSON for each part: the key, what the service said, and the records.

    A batch that is run again makes no second file, since a part has the same key then.

    Args:
        place: a directory, or the URL of a prefix on an object store.
        storage_options: settings of the object store.
        environment: clock and threads.
    """

    def __init__(
        self, place: str | os.PathLike[str], storage_options: Mapping[str, Any] | None, environment: Environment
    ) -> None:
        self._storage = storage_of(place, storage_options, environment)

    def keep(self, part: HttpPart, refusal: Refusal) -> None:
        """Keep a part.

        Raises:
            StorageUnavailableError: it cannot be kept now.
        """
        import msgspec

        head = {"key": part.key, "status": refusal.status, "answer": refusal.answer}
        content = msgspec.json.encode({**head, "records": [msgspec.Raw(record) for record in part.records]})
        self._storage.create(f"{part.key}.json", content)
