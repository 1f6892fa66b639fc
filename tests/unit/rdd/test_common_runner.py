from __future__ import annotations

from millstream.context.context import Context
from millstream.execution.scheduler import Scheduler
from millstream.model.batch import Batch
from millstream.rdd.lineage import Held
from millstream.rdd.rdd import RDD


def test_an_rdd_made_once_takes_part_in_the_batch_it_is_joined_in() -> None:
    context = Context()
    static = context.parallelize([("a", 1)])
    in_batch: RDD[tuple[str, int]] = RDD(Held([[("a", 2)]]), Scheduler(context.backend, Batch(1_000)))
    for joined in (static.join(in_batch), in_batch.join(static)):
        assert joined.runner.batch == Batch(1_000)
    assert static.union(in_batch).runner.batch == Batch(1_000)
    assert static.union(static).runner is context.runner
    assert static.join(in_batch).collect() == [("a", (1, 2))]
