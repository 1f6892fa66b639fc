from __future__ import annotations

import sys

import pytest
import sqlalchemy as sa

from millstream.errors import ArgumentTypeError, ConfigurationError
from millstream.sinks.sql.database import Database


def test_what_is_shown_of_a_url() -> None:
    database = Database("postgresql://ann:s3cr%40t@db.example/shop?sslpassword=h1dden&sslmode=require")
    assert database.shown == "postgresql+psycopg://ann:***@db.example/shop"
    assert database.scrub("password s3cr@t, s3cr%40t, h1dden") == "password ***, ***, ***"


def test_an_error_that_would_tell_a_password_is_no_cause() -> None:
    database = Database("postgresql://ann:s3cret@db.example/shop", {"passfile": "hunter2"})
    harmless = ValueError("no route")
    assert database.cause(harmless) is harmless
    told = ValueError("bad connection")
    told.__cause__ = KeyError("s3cret")
    assert database.cause(told) is None
    assert database.cause(ValueError("hunter2")) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "cannot be understood"),
        ("postgresql://ann:s3cret@x@y:z/shop", "cannot be understood"),
        ("nothing://ann:s3cret@host/shop", "no database of the name nothing"),
        ("postgresql+asyncpg://ann:s3cret@host/shop", "asynchronous"),
        ("sqlite://", "keeps nothing"),
        ("sqlite:///:memory:", "keeps nothing"),
    ],
)
def test_urls_that_cannot_work(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Database(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_something_else_than_a_url() -> None:
    with pytest.raises(ArgumentTypeError, match="type int"):
        Database(7)
    assert Database(sa.URL.create("sqlite", database="x.db")).shown == "sqlite:///x.db"


def test_a_missing_driver_is_named() -> None:
    database = Database("mysql+pymysql://ann:s3cret@host/shop")
    with pytest.raises(ConfigurationError, match=r"driver for mysql\+pymysql is not installed") as caught:
        _ = database.engine
    assert "millstream[sql]" in str(caught.value)


def test_a_missing_sqlalchemy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ConfigurationError, match=r"millstream\[sql\]"):
        Database("sqlite:///x.db")
