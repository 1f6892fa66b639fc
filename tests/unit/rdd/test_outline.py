from __future__ import annotations

from millstream.context.context import Context
from millstream.rdd.lineage import Held, Narrow
from millstream.rdd.operations import Label, Map
from millstream.rdd.outline import outline


def test_stages_stand_deeper_and_kept_nodes_are_marked() -> None:
    context = Context(partitions=2)
    words = context.parallelize(["a", "b"]).map(lambda w: (w, 1)).persist()
    counts = words.reduce_by_key(lambda a, b: a + b).map_values(str)
    text = counts.union(words.coalesce(1)).to_debug_string()
    lines = [line.split(" at ")[0] for line in text.splitlines()]
    assert lines == [
        "(3) union",
        " +-(2) map_values",
        "   (2) reduce_by_key",
        "    +-(2) map",
        "      (2) data",
        " +-(1) coalesce",
        "   (2) map",
        "   (2) data",
    ]
    assert text.splitlines()[2].endswith(", shuffled, by key group")
    assert text.splitlines()[3].endswith(", kept")
    words.count()
    assert words.to_debug_string().splitlines()[0].endswith(", kept and computed")
    assert repr(words).startswith("<RDD (2) map at ")


def test_a_chain_may_be_long() -> None:
    lineage: Held | Narrow = Held([[]])
    for _ in range(5000):
        lineage = Narrow(lineage, Map(str, Label("map")))
    assert outline(lineage).count("map") == 5000
