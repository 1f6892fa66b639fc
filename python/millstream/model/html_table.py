"""What objects of a program show in a notebook: a small table, without styles or scripts of its own."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def html_table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """Give a table of two columns as HTML; everything in it is text.

    Args:
        title: above it.
        rows: name and value each; a value that is None or empty text is left out.

    Example:
        >>> html_table("Batch", [("time", 1), ("note", "<b>"), ("error", None)])
        '<table><caption>Batch</caption><tr><th>time</th><td>1</td></tr><tr><th>note</th><td>&lt;b&gt;</td></tr></table>'
    """
    cells = (
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows
        if value is not None and value != ""
    )
    return f"<table><caption>{escape(title)}</caption>{''.join(cells)}</table>"
