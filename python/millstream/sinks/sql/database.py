"""The way to one database: its URL, its connections, and the table that rows go to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from millstream.errors import ArgumentTypeError, ConfigurationError, shown

if TYPE_CHECKING:
    import sqlalchemy as sa

_SECRET_KEY = re.compile(r"pass|pwd|secret|token|credential|key", re.IGNORECASE)

CONNECT_TIMEOUT_S = 10
LOST_AFTER_MS = 30_000
"""How long data may stay unacknowledged by a PostgreSQL server before its connection counts as lost."""
LOCK_TIMEOUT = "10s"
"""How long a statement waits for a lock; the row of commits is held by a paused driver, if by anyone."""
IDLE_TIMEOUT = "60s"
"""After this the server ends the transaction of a driver that was paused in the middle of it."""

EXTRA = 'pip install "millstream[sql]"'


class Database:
    """Opens connections to one database, and knows what must not be shown of its URL.

    Args:
        url: a SQLAlchemy URL, as text or as `sqlalchemy.URL`.
        connect_args: handed to the driver's connect.

    Attributes:
        shown: the URL for people, without password and options.

    Raises:
        ConfigurationError: SQLAlchemy or the driver is missing, or the URL cannot work.
    """

    def __init__(self, url: Any, connect_args: Mapping[str, Any] | None = None) -> None:
        self._url = _parsed(url)
        self._connect_args = dict(connect_args or {})
        self._secrets = sorted(_secrets(self._url, self._connect_args), key=len, reverse=True)
        self.shown = self._url.set(query={}).render_as_string(hide_password=True)
        self._engine: sa.Engine | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None}

    def scrub(self, text: str) -> str:
        """Take passwords out of a text."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def cause(self, error: BaseException) -> BaseException | None:
        """Give an error as the cause of another, or None when it, or what it came from, would tell a password."""
        seen: BaseException | None = error
        while seen is not None:
            if self.scrub(repr(seen)) != repr(seen) or self.scrub(str(seen)) != str(seen):
                return None
            seen = seen.__cause__ or seen.__context__
        return error

    @property
    def dialect(self) -> sa.Dialect:
        """The dialect of the database, without a connection."""
        return self._url.get_dialect()()

    @property
    def engine(self) -> sa.Engine:
        """The engine, made at the first use."""
        if self._engine is None:
            self._engine = self._made()
        return self._engine

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """Give a connection; what was not committed is rolled back at the end."""
        with self.engine.connect() as connection:
            yield connection

    def is_lost(self, connection: sa.Connection, error: BaseException) -> bool:
        """Tell whether an error ended the connection."""
        if connection.invalidated or getattr(error, "connection_invalidated", False):
            return True
        raw = connection.connection.driver_connection
        if getattr(raw, "closed", False):
            return True
        dialect = connection.dialect
        kinds = dialect.loaded_dbapi.Error
        return isinstance(error, kinds) and dialect.is_disconnect(error, connection.connection, None)

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _made(self) -> sa.Engine:
        import sqlalchemy as sa

        limits: dict[str, Any] = {}
        if self._url.drivername in ("postgresql+psycopg", "postgresql+psycopg2"):
            limits = {"connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": LOST_AFTER_MS}
        limits = {name: limit for name, limit in limits.items() if name not in self._url.query}
        try:
            engine = sa.create_engine(
                self._url,
                # One connection commits, and one more may ask what became of it.
                pool_size=1,
                max_overflow=1,
                hide_parameters=True,
                connect_args={**limits, **self._connect_args},
            )
        except ImportError as error:
            raise ConfigurationError(
                f"The driver for {self._url.drivername} is not installed.",
                detail=f"{self.shown}: {self.scrub(str(error))}.",
                hint=f"{EXTRA} brings the one for PostgreSQL; install that of another database beside it.",
            ) from self.cause(error)
        except Exception as error:
            raise ConfigurationError(
                "The URL of the database cannot be used.",
                detail=f"{self.shown}: {self.scrub(str(error))}",
                hint="Give a URL of SQLAlchemy with a driver that is not asynchronous.",
            ) from self.cause(error)
        if engine.dialect.name == "postgresql":
            sa.event.listen(engine, "connect", _set_timeouts)
        return engine


def _set_timeouts(raw: Any, _record: Any) -> None:
    cursor = raw.cursor()
    cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}'")
    cursor.close()
    raw.commit()


def _parsed(url: Any) -> sa.URL:
    try:
        import sqlalchemy as sa
    except ImportError as error:
        raise ConfigurationError(
            "SQLAlchemy is not installed.",
            detail="Rows are written to databases through it.",
            hint=EXTRA,
        ) from error
    if not isinstance(url, (str, sa.URL)):
        raise ArgumentTypeError(
            "The URL of a database is not text.",
            detail=f"It is of type {type(url).__name__}.",
            hint="Give a URL such as sqlite:///counts.db or postgresql://user@host/database.",
        )
    try:
        parsed = sa.make_url(url)
    except Exception:
        # Why not the cause: its text may hold a part of the password.
        raise ConfigurationError(
            "The URL of the database cannot be understood.",
            detail="It is not shown, because it may hold a password.",
            hint="Give a URL such as sqlite:///counts.db or postgresql://user:password@host/database; characters of a "
            "password that mean something in a URL are written as %40 and the like, or use sqlalchemy.URL.create.",
        ) from None
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        dialect = parsed.get_dialect()
    except (ImportError, sa.exc.ArgumentError) as error:
        raise ConfigurationError(
            f"SQLAlchemy knows no database of the name {parsed.drivername}.",
            detail=f"{parsed.set(query={}).render_as_string(hide_password=True)}: {error}",
            hint="Begin the URL with postgresql, sqlite, mysql+pymysql or the like, and install its dialect.",
        ) from None
    if dialect.is_async:
        raise ConfigurationError(
            "The driver of the database is asynchronous.",
            detail=f"{parsed.drivername}; a batch is committed on the driver's own thread.",
            hint="Name another driver in the URL, such as postgresql+psycopg or sqlite.",
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "A SQLite database in memory keeps nothing.",
            detail=f"url={shown(str(parsed))} ends with this process, and with it what was committed.",
            hint="Give the path of a file: sqlite:///counts.db, or sqlite:////var/lib/counts.db.",
        )
    return parsed


def _secrets(url: sa.URL, connect_args: Mapping[str, Any]) -> Iterator[str]:
    from urllib.parse import quote, quote_plus

    values = [url.password]
    values += [value for key, value in url.query.items() if _SECRET_KEY.search(key) for value in _texts(value)]
    values += [str(value) for key, value in connect_args.items() if _SECRET_KEY.search(key)]
    for value in values:
        if value:
            yield from {str(value), quote(str(value)), quote(str(value), safe=""), quote_plus(str(value))}


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
