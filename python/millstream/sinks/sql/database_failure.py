"""What an error of a database means for the batch that met it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

FailureKind: TypeAlias = Literal["busy", "record", "program"]
"""`busy`: another try may go through. `record`: the database refuses a row. `program`: it cannot work as it is."""

_BUSY_STATES = ("08", "40", "53", "57", "58", "55P03", "55006", "25006", "25P03")
_RECORD_STATES = ("21", "22", "23", "44", "P0")
_BUSY_SQLITE = {5, 6, 8, 9, 10, 13, 14, 15}
"""Busy, locked, read-only, interrupted, input or output failed, full, cannot be opened, lock protocol."""
_RECORD_SQLITE = {18, 19, 20}
"""Too big, constraint, mismatch."""
_BUSY_MYSQL = {1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013}
"""Too many connections, shutdown, lock wait, deadlock, no connection, connection lost."""


def failure_kind(error: BaseException) -> FailureKind:
    """Tell what an error of SQLAlchemy or of a driver means; one that is not known is the record's.

    Example:
        >>> import sqlite3
        >>> error = sqlite3.OperationalError("database is locked")
        >>> error.sqlite_errorcode = 5
        >>> failure_kind(error)
        'busy'
    """
    import sqlalchemy as sa

    raw = driver_error(error)
    if (state := getattr(raw, "sqlstate", None) or getattr(raw, "pgcode", None)) is not None:
        if str(state).startswith(_BUSY_STATES):
            return "busy"
        return "record" if str(state).startswith(_RECORD_STATES) else "program"
    if (code := getattr(raw, "sqlite_errorcode", None)) is not None:
        primary = code & 0xFF
        if primary in _BUSY_SQLITE:
            return "busy"
        return "record" if primary in _RECORD_SQLITE else "program"
    if raw.args and raw.args[0] in _BUSY_MYSQL:
        return "busy"
    if isinstance(error, sa.exc.DBAPIError) and isinstance(error, (sa.exc.DataError, sa.exc.IntegrityError)):
        return "record"
    if isinstance(error, (sa.exc.OperationalError, sa.exc.TimeoutError)):
        return "busy"
    if isinstance(error, (sa.exc.ProgrammingError, sa.exc.NoSuchModuleError)) and raw is error:
        return "program"
    return "record"


def driver_error(error: BaseException) -> Any:
    """Give the driver's own error behind one of SQLAlchemy, or the error itself."""
    return getattr(error, "orig", None) or error


def driver_text(error: BaseException) -> str:
    """Give the first line of what the driver says."""
    lines = str(driver_error(error)).strip().splitlines()
    return lines[0].strip() if lines else type(driver_error(error)).__name__
