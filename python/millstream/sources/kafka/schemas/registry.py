"""A schema registry, spoken to over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from millstream.environment.optional_package import optional_package
from millstream.errors import ConfigurationError, SourceUnavailableError

_NOT_FOUND = (40401, 40402, 40403)
"""What a registry answers when it does not know the subject, the version or the schema."""

_REFUSED = (401, 403)

_FORMS = {"PROTOBUF": "serialized"}
"""In which form schemas of a kind are asked for: compiled ones need no compiler here."""

_DEFAULTS = {"timeout": 10, "max.retries": 2, "retries.wait.ms": 100, "retries.max.wait.ms": 1_000}


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry has it.

    Attributes:
        kind: `AVRO`, `JSON` or `PROTOBUF`.
        text: the schema.
        imports: texts of the schemas that it refers to, by the names under which it does; each after its own.
    """

    kind: str
    text: str
    imports: Mapping[str, str]


class SchemaRegistry:
    """Gives schemas by their numbers. Each is asked for once in each process; connections are not pickled.

    Args:
        url: of the registry; several with commas between.
        options: of Confluent's client, such as `basic.auth.user.info` or `ssl.ca.location`. They are never shown.

    Raises:
        ConfigurationError: the client refuses an option, or is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        self._options = {**_DEFAULTS, **(options or {}), "url": url}
        self._clients: dict[str | None, Any] = {}
        self.shown_url = ",".join(_without_user(part) for part in url.split(","))
        self._client(None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}}

    def __repr__(self) -> str:
        return f"SchemaRegistry({self.shown_url!r})"

    def schema(self, number: int) -> RegisteredSchema:
        """Give a schema.

        Raises:
            LookupError: the registry knows no such schema.
            SourceUnavailableError: it does not answer.
            ConfigurationError: it refuses the credentials.
        """
        try:
            found = self._client(None).get_schema(number)
            form = _FORMS.get(found.schema_type)
            if form is not None:
                found = self._client(form).get_schema(number, fmt=form)
            imports: dict[str, str] = {}
            self._resolve(form, found, imports)
        except Exception as error:
            # Why any: the client lets those of the connection through as they are.
            self._refuse(error, f"the schema {number}")
        return RegisteredSchema(found.schema_type or "AVRO", found.schema_str, imports)

    def _resolve(self, form: str | None, schema: Any, imports: dict[str, str]) -> None:
        for reference in schema.references or ():
            if reference.name not in imports:
                answer = self._client(form).get_version(reference.subject, reference.version, True, fmt=form)
                self._resolve(form, answer.schema, imports)
                imports[reference.name] = answer.schema.schema_str

    def _client(self, form: str | None) -> Any:
        """Give the client for schemas in one form: it keeps what it was told, whatever form that had."""
        client = self._clients.get(form)
        if client is None:
            module = optional_package(
                "confluent_kafka.schema_registry", extra="kafka-schemas", needed_by="SchemaRegistryDecoder"
            )
            try:
                client = self._clients[form] = module.SchemaRegistryClient(dict(self._options))
            except Exception as error:
                # Why from None: the client's text may hold the options, secrets among them.
                raise ConfigurationError(
                    f"The schema registry {self.shown_url} cannot be used with these options.",
                    detail=f"{type(error).__name__}; options given: {', '.join(sorted(self._options))}.",
                    hint="The options are those of Confluent's SchemaRegistryClient; the url begins with http.",
                ) from None
        return client

    def _refuse(self, error: Exception, what: str) -> NoReturn:
        status, code = getattr(error, "http_status_code", None), getattr(error, "error_code", None)
        if code in _NOT_FOUND:
            raise LookupError(f"the schema registry {self.shown_url} does not know {what}") from None
        if status in _REFUSED:
            raise ConfigurationError(
                f"The schema registry {self.shown_url} refused the credentials.",
                detail=f"It was asked for {what} and answered {status}.",
                hint="Give them in options=, such as basic.auth.user.info.",
            ) from None
        if status is not None and status < 500:
            raise ConfigurationError(
                f"The schema registry {self.shown_url} does not answer as one.",
                detail=f"It was asked for {what} and answered {status}.",
                hint="Check the URL, with its path: where it ends, /schemas/ids/1 begins.",
            ) from None
        raise SourceUnavailableError(
            f"The schema registry {self.shown_url} does not answer.",
            detail=f"It was asked for {what}: {type(error).__name__}{'' if status is None else f', {status}'}.",
            hint="Check that it runs and is reached from here; the batch is tried again.",
        ) from None


def serialized(text: str) -> bytes:
    """Give the bytes of a schema that a registry gave serialized.

    Raises:
        ValueError: it is not.
    """
    return base64.b64decode(text, validate=True)


def _without_user(url: str) -> str:
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}".strip()
