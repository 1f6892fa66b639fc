"""RDD methods that choose records by chance."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, islice, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.environment.rng import seeded_rng
from millstream.errors import ArgumentTypeError, ConfigurationError, shown
from millstream.model.label import Label
from millstream.model.partition import PartitionData, Rows, rows_of
from millstream.rdd.arguments import whole_number
from millstream.rdd.core import RDDCore, T_co, label
from millstream.rdd.draws import Seed, draws, draws_for_mean, poisson
from millstream.rdd.failures import key_refused
from millstream.rdd.lineage import Held
from millstream.rdd.operations import ApplyPartition, Count
from millstream.rdd.partitioner import key_of
from millstream.rdd.positions import at_positions

if TYPE_CHECKING:
    from millstream.rdd.rdd import RDD

K = TypeVar("K")
V = TypeVar("V")


class SamplingMethods(RDDCore[T_co]):
    """Methods that take samples.

    Chance comes from the seed and from the position of a record in the RDD. So the same records in the same order
    and the same `seed` (an int or a str) always give the same sample, on every backend and however many partitions
    there are. Without a seed the sample is chosen anew at each call of the method: by the batch inside a stream,
    where a repeated batch sees the same one, else by the chance of the context's environment. The RDD that a call
    gave keeps its seed, so two actions on it agree.
    """

    __slots__ = ()

    def sample(self, fraction: float, *, with_replacement: bool = False, seed: Seed | None = None) -> RDD[T_co]:
        """Keep each record with a given probability; those that stay keep their order and their partitions.

        Args:
            fraction: the probability, 0 to 1; with replacement how many times a record comes on average, from 0 up
                (the count follows a Poisson distribution).
            with_replacement: a record may come more than once.
            seed: what the sample is repeated by.

        Example:
            >>> import millstream as ms
            >>> context = ms.Context()
            >>> few = context.range(1000, partitions=2).sample(0.01, seed=7)
            >>> few.collect() == context.range(1000, partitions=5).sample(0.01, seed=7).collect()
            True
            >>> context.range(1000).sample(3.0, with_replacement=True, seed=7).count()
            2937
        """
        _check_fraction(fraction, "sample", with_replacement)
        chosen = _Sampled(float(fraction), with_replacement, _seed(self, seed, "sample"))
        return at_positions(self, chosen, label("sample"), keeps_keys=True)

    def sample_by_key(
        self: RDDCore[tuple[K, V]],
        fractions: Mapping[K, float],
        *,
        with_replacement: bool = False,
        seed: Seed | None = None,
    ) -> RDD[tuple[K, V]]:
        """Keep each pair with the probability that its key has.

        Args:
            fractions: for each key what `sample` takes as `fraction`. A key that is not in it is an error of the
                action, so that no group goes missing unseen; give it 0.
            with_replacement: a pair may come more than once.
            seed: what the sample is repeated by.

        Example:
            >>> import millstream as ms
            >>> pairs = ms.Context().range(1000).map(lambda x: ("odd" if x % 2 else "even", x))
            >>> pairs.sample_by_key({"odd": 0.1, "even": 0}, seed=7).count_by_key()
            {'odd': 61}
        """
        if not isinstance(fractions, Mapping):
            raise ArgumentTypeError(
                "sample_by_key needs a mapping from keys to fractions.",
                detail=f"fractions={shown(fractions)} is of type {type(fractions).__name__}.",
                hint='Give a dict such as {"a": 0.1, "b": 0.5}.',
            )
        for key, fraction in fractions.items():
            _check_fraction(fraction, "sample_by_key", with_replacement, f"fractions[{shown(key)}]")
        at = label("sample_by_key")
        own = {key: float(fraction) for key, fraction in fractions.items()}
        chosen = _SampledByKey(own, with_replacement, _seed(self, seed, "sample_by_key"), at)
        return at_positions(self, chosen, at, keeps_keys=True)

    def random_split(self, weights: Sequence[float], *, seed: Seed | None = None) -> list[RDD[T_co]]:
        """Part the records by chance; each is in exactly one of the RDDs, in the order of this one.

        Args:
            weights: how large the parts are beside each other, not negative, at least one above 0.
            seed: what the split is repeated by; the same records are split in the same way.

        Raises:
            ConfigurationError: the weights cannot work.

        Example:
            >>> import millstream as ms
            >>> most, some = ms.Context().range(1000).random_split([3, 1], seed=1)
            >>> most.count() + some.count(), 700 < most.count() < 800
            (1000, True)
        """
        total = _checked_weights(weights)
        at, own = label("random_split"), _seed(self, seed, "random_split")
        bounds = [0.0, *(part / total for part in accumulate(weights))]
        bounds[-1] = 1.0
        return [at_positions(self, _Between(low, high, own), at, keeps_keys=True) for low, high in pairwise(bounds)]

    def take_sample(self, n: int, *, with_replacement: bool = False, seed: Seed | None = None) -> list[T_co]:
        """Give `n` records chosen by chance, in an order of chance.

        The RDD is computed once and kept while its records are counted and the chosen ones fetched.

        Args:
            n: how many, at least 0; without replacement no more come than there are.
            with_replacement: a record may come more than once.
            seed: what the sample is repeated by.

        Example:
            >>> import millstream as ms
            >>> sorted(ms.Context().range(5).take_sample(9)), len(ms.Context().range(1000).take_sample(3, seed=1))
            ([0, 1, 2, 3, 4], 3)
        """
        whole_number(n, "take_sample", "n", least=0)
        chance = seeded_rng(f"{_seed(self, seed, 'take_sample')}")
        if n == 0:
            return []
        computed = Held(self.runner.keep(self.lineage))
        ends = list(accumulate(self.runner.run(computed, Count())))
        total = ends[-1] if ends else 0
        if total == 0:
            return []
        if with_replacement:
            positions = [chance.randrange(total) for _ in range(n)]
        else:
            positions = chance.sample(range(total), min(n, total))
        places: dict[int, list[int]] = {}
        for position in positions:
            partition = bisect_right(ends, position)
            places.setdefault(partition, []).append(position - (ends[partition - 1] if partition else 0))
        partitions = sorted(places)
        fetched = self.runner.run(computed, ApplyPartition(_RowsAt(places)), partitions)
        found = dict(zip(partitions, map(iter, fetched), strict=True))
        return [next(found[bisect_right(ends, position)]) for position in positions]


def _checked_weights(weights: Sequence[float]) -> float:
    numbers = isinstance(weights, Sequence) and all(isinstance(weight, (int, float)) for weight in weights)
    if not numbers or not all(0 <= weight < float("inf") for weight in weights) or not sum(weights) > 0:
        raise ConfigurationError(
            "random_split needs weights.",
            detail=f"weights={shown(weights)}.",
            hint="Give numbers from 0 on, one above 0, such as [0.8, 0.2].",
        )
    return float(sum(weights))


@dataclass(frozen=True, slots=True)
class _Between:
    """Keeps the rows of one partition whose draw lies in [low, high)."""

    low: float
    high: float
    seed: Seed

    def __call__(self, rows: Rows, start: int) -> Rows:
        low, high = self.low, self.high
        return list(compress(rows, (low <= number < high for number in draws(self.seed, start, start + len(rows)))))


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Samples the rows of one partition."""

    fraction: float
    with_replacement: bool
    seed: Seed

    def __call__(self, rows: Rows, start: int) -> Rows:
        fraction, stop = self.fraction, start + len(rows)
        if not self.with_replacement:
            return list(compress(rows, (number < fraction for number in draws(self.seed, start, stop))))
        each = draws_for_mean(fraction)
        numbers = draws(self.seed, start, stop, each)
        return [row for row in rows for _ in range(poisson(fraction, list(islice(numbers, each))))]


@dataclass(frozen=True, slots=True)
class _SampledByKey:
    """Samples the pairs of one partition, each by the fraction of its key."""

    fractions: dict[Any, float]
    with_replacement: bool
    seed: Seed
    label: Label

    def __call__(self, rows: Rows, start: int) -> Rows:
        each = draws_for_mean(max(self.fractions.values(), default=0.0)) if self.with_replacement else 1
        numbers = draws(self.seed, start, start + len(rows), each)
        chosen: list[Any] = []
        for pair in rows:
            fraction = self._fraction(key_of(pair))
            drawn = list(islice(numbers, each))
            chosen.extend([pair] * (poisson(fraction, drawn) if self.with_replacement else drawn[0] < fraction))
        return chosen

    def _fraction(self, key: Any) -> float:
        try:
            return self.fractions[key]
        except KeyError:
            raise ConfigurationError(
                "sample_by_key met a key without a fraction.",
                detail=f"The key is {shown(key)}; the operator is at {self.label.site}.",
                hint="Give every key a fraction, or filter the pairs first.",
            ) from None
        except TypeError as error:
            raise key_refused(self.label, error, key) from error


@dataclass(frozen=True, slots=True)
class _RowsAt:
    """Gives the rows at some places of a partition."""

    places: dict[int, list[int]]

    def __call__(self, _batch: Any, index: int, data: PartitionData) -> list[Any]:
        rows = rows_of(data)
        at_hand = rows if isinstance(rows, (list, range)) else list(rows)
        return [at_hand[place] for place in self.places[index]]


def _check_fraction(value: object, operator: str, with_replacement: bool, argument: str = "fraction") -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ArgumentTypeError(
            f"{operator} needs a fraction.",
            detail=f"{argument}={shown(value)} is of type {type(value).__name__}.",
            hint="Give a number from 0 to 1; with_replacement=, seed= are given by name.",
        )
    if not 0 <= value < math.inf or (value > 1 and not with_replacement):
        raise ConfigurationError(
            f"{operator} was given a fraction that is out of range.",
            detail=f"{argument}={value}.",
            hint="Give a number from 0 up." if with_replacement else "Give a number from 0 to 1.",
        )


def _seed(rdd: RDDCore[Any], seed: object, operator: str) -> Seed:
    if seed is None:
        return rdd.runner.rng.getrandbits(64)
    if not isinstance(seed, (int, str)) or isinstance(seed, bool):
        raise ArgumentTypeError(
            f"{operator} needs an int or a str as seed.",
            detail=f"seed={shown(seed)} is of type {type(seed).__name__}.",
            hint="Give seed=7, or none for another sample each time.",
        )
    return seed
