"""Checks of what users hand to the methods of an RDD, made at the call, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.model.arity import refuse_arguments, refuse_coroutine
from millstream.rdd.core import RDDCore
from millstream.rdd.runner import Runner


def check_function(
    f: object, operator: str, argument: str = "f", *, takes: int | None = None, batch: bool = False
) -> None:
    """Refuse what cannot be called, or not as the operator will, and coroutine functions, which nobody would await.

    Args:
        f: what was given.
        operator: the method, for the error.
        argument: the argument, for the error.
        takes: how many positional arguments the operator gives; None: not checked here.
        batch: the operator gives the batch as one more to a function that requires it.

    Raises:
        ArgumentTypeError: `f` cannot be called, or not with these arguments.
        GraphError: `f` is a coroutine function.
    """
    if not callable(f):
        raise ArgumentTypeError(
            f"{operator} needs a function.",
            detail=f"{argument}={shown(f)} is of type {type(f).__name__}, which cannot be called.",
            hint=f"Give a function or a lambda to {operator}.",
        )
    refuse_coroutine(f, operator)
    if takes is not None:
        refuse_arguments(f, operator, takes, batch=batch)


def whole_number(value: object, operator: str, argument: str, *, least: int) -> int:
    """Check a whole number that a user gave.

    Args:
        value: what was given.
        operator: the method, for the error.
        argument: the argument, for the error.
        least: the smallest value that works.

    Raises:
        ArgumentTypeError: not an int.
        ConfigurationError: below `least`.

    Example:
        >>> whole_number(3, "take", "n", least=0)
        3
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ArgumentTypeError(
            f"{operator} needs a whole number.",
            detail=f"{argument}={shown(value)} is of type {type(value).__name__}.",
            hint=f"Give an int, {least} or more.",
        )
    if value < least:
        raise ConfigurationError(
            f"{operator} was given a number that is too small.",
            detail=f"{argument}={value}.",
            hint=f"Give {least} or more.",
        )
    return value


def common_runner(operator: str, rdds: Sequence[Any]) -> Runner:
    """Give the runner for an RDD made from several, which must be RDDs of one context.

    Args:
        operator: the method, for the error.
        rdds: the RDDs, that of the call first.

    Returns:
        The first runner that knows a batch, so that an RDD made once and joined in every batch takes part in it;
        without one the runner of the first RDD.

    Raises:
        ArgumentTypeError: one is no RDD.
        ConfigurationError: they belong to different contexts.
    """
    for rdd in rdds:
        if not isinstance(rdd, RDDCore):
            raise ArgumentTypeError(
                f"{operator} needs RDDs.",
                detail=f"It was given {shown(rdd)} of type {type(rdd).__name__}.",
                hint="Make an RDD of it with context.parallelize(...).",
            )
    runners: list[Runner] = [rdd.runner for rdd in rdds]
    if any(runner.home is not runners[0].home for runner in runners):
        raise ConfigurationError(
            f"{operator} was given RDDs of different contexts.",
            detail="Their partitions live on different executors.",
            hint="Make all of them with one context; for a stream that is ssc.context.",
        )
    return next((runner for runner in runners if runner.batch is not None), runners[0])
