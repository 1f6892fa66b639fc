"""What a program is made of, as its checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from millstream.graph.graph import Graph
from millstream.recovery.history import logs_state
from millstream.state.table_identity import TableIdentity


def described(graph: Graph, tables: Iterable[TableIdentity], *, state_log: bool) -> dict[str, Any]:
    """Describe a program for the journal.

    Args:
        graph: the frozen graph.
        tables: those of its state.
        state_log: whether batches journal what they change in the state.
    """
    return {
        "state_log": state_log,
        "interval_ms": graph.interval_ms,
        "inputs": [node.name for node in graph.inputs],
        "outputs": [output.name for output in graph.outputs],
        "tables": [asdict(table) for table in tables],
    }


def form(program: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Give what the chunks of a program's state depend on, of how it was described; None: there was none."""
    tables = [] if program is None else program["tables"]
    form = [{name: value for name, value in table.items() if name != "site"} for table in tables]
    return [*form, {"state_log": logs_state(program)}]
