"""One stage on its way: who was asked for what, what came back, and whom it killed."""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any

from millstream.errors import BackendUnavailableError
from millstream.execution.messages import BatchForm
from millstream.execution.task import Task
from millstream.execution.wire import WireClosedError
from millstream.execution.worker_link import Answer, Order, WorkerLink
from millstream.execution.worker_place import Death

_TASKS_SHOWN = 5
_SIGKILL = -9


class StageRun:
    """Has the workers run the tasks of one stage, again where a worker died.

    Args:
        links: all workers; partition p belongs to the one at `p % len(links)`.
        tasks: the tasks.
        batch: the batch that they belong to.
        restarts_max: how many workers may die before the stage is given up.
    """

    def __init__(
        self, links: Sequence[WorkerLink], tasks: Sequence[Task], batch: BatchForm | None, restarts_max: int
    ) -> None:
        self._tasks = tasks
        self._batch = batch
        self._restarts_max = restarts_max
        self._places: dict[WorkerLink, list[int]] = {}
        for at, task in enumerate(tasks):
            self._places.setdefault(links[task.partition % len(links)], []).append(at)
        self._orders: dict[WorkerLink, Order] = {}
        self._answers: dict[WorkerLink, Answer] = {}
        self._deaths: list[tuple[Death, Sequence[Task]]] = []

    def run(self, *, order_first: bool) -> list[Answer]:
        """Run the tasks.

        Args:
            order_first: put all messages together before the first is sent, because doing so asks workers.

        Returns:
            One answer a worker that had tasks.

        Raises:
            BackendUnavailableError: workers died more often than the limit, or none got ready.
        """
        try:
            self._begin(order_first)
            while unanswered := self._unanswered():
                if self._orders:
                    self._receive_some()
                else:
                    # Only now: a message for a new worker may need what another one holds.
                    self._send(unanswered)
        except BaseException:
            # What the workers were about to answer would be taken for the answer to the next stage.
            for link in self._orders:
                link.place.abandon()
            raise
        return list(self._answers.values())

    def results(self) -> list[Any]:
        """Give the results in the order of the tasks.

        Raises:
            Exception: what the first of the tasks that failed has raised.
        """
        failed = [
            (self._places[link][answer.failed_task], answer.error)
            for link, answer in self._answers.items()
            if answer.error is not None
        ]
        if failed:
            raise min(failed, key=lambda each: each[0])[1]
        if len(self._answers) == 1:
            return list(*(answer.results for answer in self._answers.values()))
        results: list[Any] = [None] * len(self._tasks)
        for link, answer in self._answers.items():
            for at, result in zip(self._places[link], answer.results, strict=True):
                results[at] = result
        return results

    def _begin(self, order_first: bool) -> None:
        if not order_first:
            self._send(self._places)
            return
        orders: dict[WorkerLink, Order] = {}
        try:
            for link in self._places:
                orders[link] = self._order(link)
        except BaseException:
            for link in orders:
                link.withdraw()
            raise
        for link, order in orders.items():
            self._send_order(link, order)

    def _unanswered(self) -> list[WorkerLink]:
        return [link for link in self._places if link not in self._answers]

    def _order(self, link: WorkerLink) -> Order:
        while True:
            try:
                link.get_ready()
            except WireClosedError:
                self._lost(link, ())
                continue
            return link.order([self._tasks[at] for at in self._places[link]], self._batch)

    def _send(self, links: Sequence[WorkerLink] | dict[WorkerLink, list[int]]) -> None:
        for link in links:
            self._send_order(link, self._order(link))

    def _send_order(self, link: WorkerLink, order: Order) -> None:
        self._orders[link] = order
        try:
            link.send(order)
        except WireClosedError:
            del self._orders[link]
            self._lost(link, order.tasks)

    def _receive_some(self) -> None:
        """Wait until workers answer, and take their answers."""
        for link in self._ready():
            order = self._orders[link]
            try:
                self._answers[link] = link.receive(order)
                del self._orders[link]
            except WireClosedError:
                del self._orders[link]
                self._lost(link, order.tasks)

    def _ready(self) -> list[WorkerLink]:
        if len(self._orders) == 1:
            return list(self._orders)
        by_descriptor = {link.place.wire.fileno(): link for link in self._orders}
        poll = select.poll()
        for descriptor in by_descriptor:
            poll.register(descriptor, select.POLLIN)
        return [by_descriptor[descriptor] for descriptor, _ in poll.poll()]

    def _lost(self, link: WorkerLink, tasks: Sequence[Task]) -> None:
        """Count a death; the place has its next process on its way.

        Raises:
            BackendUnavailableError: it was one too many.
        """
        self._deaths.append((link.place.bury(), tasks))
        if len(self._deaths) > self._restarts_max:
            raise self._given_up()

    def _given_up(self) -> BackendUnavailableError:
        deaths = "; ".join(
            f"worker {death.index} (pid {death.pid}) {death.how} {_while_running(death, tasks)}"
            for death, tasks in self._deaths
        )
        said = next((death.last_words for death, _ in reversed(self._deaths) if death.last_words), "")
        killed = any(death.status == _SIGKILL for death, _ in self._deaths)
        return BackendUnavailableError(
            f"Workers died {len(self._deaths)} times in one stage; the limit is {self._restarts_max}.",
            detail=f"{deaths}." + (f" The last one said:\n{said}" if said else ""),
            hint="A kill by signal 9 from outside often means that memory ran out: use smaller batches, more "
            "partitions or fewer workers."
            if killed
            else "Look for what ends the process: sys.exit(), os._exit(), or a crash in an extension module.",
        )


def _while_running(death: Death, tasks: Sequence[Task]) -> str:
    if not tasks or death.task is None or death.task >= len(tasks):
        return "while it ran no task"
    return f"while it ran {described(tasks[death.task])}"


def described(task: Task) -> str:
    """Name a task by its partition and the operators that it runs.

    Example:
        >>> from millstream.execution.readers import HeldReader
        >>> from millstream.execution.task import Pipeline
        >>> from millstream.model.label import Label
        >>> from millstream.rdd.operations import Collect, Map
        >>> described(Task(Pipeline(HeldReader([]), (Map(len, Label("map", None, "app.py:3")),), 0), 2, Collect()))
        'partition 2 of map (app.py:3)'
    """
    reader = task.pipeline.reader
    holders: list[Any] = [getattr(reader, "step", None), getattr(reader, "exchange", None), *task.pipeline.operations]
    labels = [holder.label for holder in [*holders, task.end] if getattr(holder, "label", None) is not None]
    shown = [f"{label.operator} ({label.site})" if label.site else label.operator for label in labels]
    steps = " → ".join(shown[:_TASKS_SHOWN]) + (" → …" if len(shown) > _TASKS_SHOWN else "")
    return f"partition {task.partition}" + (f" of {steps}" if steps else "")
