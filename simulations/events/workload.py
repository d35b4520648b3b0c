"""What users do, as pure generators of timed operations: the same seed, the same operations.

Each kind of decision draws from its own stream, so that changing the sizes does not change the
times.  Objects have numbers; their bytes follow from the seed (``ObjectContent``).
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from simulations.sections.workload import WorkloadSettings
from simulations.seeds import derived_seed
from simulations.world.ports.contents import PIECE_BYTES

_TRIES_MAX = 64


class OperationKind(StrEnum):
    PUT = "put"
    GET = "get"
    LOOKUP = "lookup"
    REPROVIDE = "reprovide"


@dataclass(frozen=True, slots=True)
class UserAction:
    """At ``at_s`` the node number ``client`` does ``kind`` to the object (for a lookup: looks up
    the random key of that number).  ``size_bytes`` is the object's size, 0 for lookups."""

    at_s: float
    kind: OperationKind
    client: int
    object: int
    size_bytes: int = 0


def check_action(action: object, after_s: float) -> UserAction:
    """What a scenario's own code told, if users can do it behind what they did at ``after_s``;
    raises ValueError."""
    if not isinstance(action, UserAction):
        raise ValueError(f"{action!r} is no UserAction")
    if not 0 <= action.at_s < math.inf:
        raise ValueError(f"{action}: at_s is {action.at_s}, no time of the scenario")
    if action.at_s < after_s:
        raise ValueError(
            f"{action}: {action.at_s:g} s comes behind one at {after_s:g} s; "
            "operations come in order of time"
        )
    if not isinstance(action.kind, OperationKind):  # users would take any other for a lookup
        raise ValueError(f"{action}: kind is {action.kind!r}, no OperationKind")
    for name in ("client", "object", "size_bytes"):
        value = getattr(action, name)
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{action}: {name} is {value!r}, no whole number from 0 on")
    return action


class Zipf:
    """Ranks 0 to n-1 with probability proportional to 1 / (rank + 1)^exponent."""

    def __init__(self, count: int, exponent: float) -> None:
        weights = (1 / rank**exponent for rank in range(1, count + 1))
        self._cumulative = list(itertools.accumulate(weights))

    def sample(self, rng: random.Random) -> int:
        drawn = rng.random() * self._cumulative[-1]
        return min(bisect.bisect_right(self._cumulative, drawn), len(self._cumulative) - 1)


@dataclass(frozen=True, slots=True)
class ObjectContent:
    """The bytes of an object, which follow from the seed of the users."""

    seed: int
    number: int
    size_bytes: int

    @property
    def pieces(self) -> int:
        """How many there are."""
        return -(-self.size_bytes // PIECE_BYTES)

    def piece(self, number: int) -> bytes:
        """``PIECE_BYTES`` each, but for the last."""
        rng = random.Random(derived_seed(self.seed, f"object/{self.number}/{number}"))
        return rng.randbytes(min(PIECE_BYTES, self.size_bytes - number * PIECE_BYTES))


def object_size(settings: WorkloadSettings, seed: int, number: int) -> int:
    """Log-normal, the body of every published file-size distribution, cut at the maximum; with
    sigma 0 all have the median."""
    if not settings.size_sigma:
        return settings.size_median_bytes
    rng = random.Random(derived_seed(seed, f"size/{number}"))
    size = rng.lognormvariate(math.log(settings.size_median_bytes), settings.size_sigma)
    return max(1, min(int(size), settings.size_max_bytes))


def operations(
    settings: WorkloadSettings, nodes: int, duration_s: float, seed: int
) -> Iterator[UserAction]:
    """The scenario's operations in order of time."""
    if settings.kind == "mix":
        yield from mix(settings, nodes, duration_s, seed)
    elif settings.kind == "flash_crowd":
        yield from flash_crowd(settings, nodes, seed)
    elif settings.kind == "lookups":
        yield from lookups(settings, nodes, duration_s, seed)
    elif settings.kind == "reprovide":
        yield from mass_reprovide(settings, nodes, seed)


def mix(
    settings: WorkloadSettings, nodes: int, duration_s: float, seed: int
) -> Iterator[UserAction]:
    """Puts of new objects, gets of those put before, popular ones more often, and lookups."""
    rng = random.Random(derived_seed(seed, "workload/mix"))
    order = list(range(settings.objects))
    random.Random(derived_seed(seed, "workload/order")).shuffle(order)
    popularity, present = Zipf(settings.objects, settings.zipf_exponent), list[int]()
    known = bytearray(settings.objects)
    lookups_of = random.Random(derived_seed(seed, "workload/mix/lookups"))
    for count, at_s in enumerate(_arrivals(settings.operations_per_s, duration_s, seed)):
        if settings.lookup_share and lookups_of.random() < settings.lookup_share:
            yield UserAction(at_s, OperationKind.LOOKUP, lookups_of.randrange(nodes), count)
            continue
        wants_put, client = rng.random() < settings.put_share, rng.randrange(nodes)
        if not present or (wants_put and len(present) < len(order)):
            kind, number = OperationKind.PUT, order[len(present)]
            present.append(number)
            known[number] = 1
        else:
            kind, number = OperationKind.GET, _popular(popularity, present, known, rng)
        yield UserAction(at_s, kind, client, number, object_size(settings, seed, number))


def _popular(zipf: Zipf, present: list[int], known: bytearray, rng: random.Random) -> int:
    """A rank that exists already; among few, any."""
    for _ in range(_TRIES_MAX):
        number = zipf.sample(rng)
        if known[number]:
            return number
    return rng.choice(present)


def flash_crowd(settings: WorkloadSettings, nodes: int, seed: int) -> Iterator[UserAction]:
    """One object, put at 0; then ``crowd`` nodes want it, ever more often until ``ramp_s``."""
    rng = random.Random(derived_seed(seed, "workload/crowd"))
    size = object_size(settings, seed, 0)
    yield UserAction(0.0, OperationKind.PUT, 0, 0, size)
    crowd = rng.sample(range(1, nodes), min(settings.crowd, nodes - 1))
    times = sorted(settings.ramp_s * (1 + math.sqrt(rng.random())) for _ in crowd)
    for at_s, client in zip(times, crowd, strict=True):
        yield UserAction(at_s, OperationKind.GET, client, 0, size)


def lookups(
    settings: WorkloadSettings, nodes: int, duration_s: float, seed: int
) -> Iterator[UserAction]:
    """Lookups of random keys from random nodes."""
    rng = random.Random(derived_seed(seed, "workload/lookups"))
    for number, at_s in enumerate(_arrivals(settings.operations_per_s, duration_s, seed)):
        yield UserAction(at_s, OperationKind.LOOKUP, rng.randrange(nodes), number)


def mass_reprovide(settings: WorkloadSettings, nodes: int, seed: int) -> Iterator[UserAction]:
    """All objects put at once by their clients, then all announced again within ``ramp_s``."""
    rng = random.Random(derived_seed(seed, "workload/reprovide"))
    clients = [rng.randrange(nodes) for _ in range(settings.objects)]
    for kind, begin_s in ((OperationKind.PUT, 0.0), (OperationKind.REPROVIDE, 2 * settings.ramp_s)):
        times = sorted(begin_s + settings.ramp_s * rng.random() for _ in clients)
        for number, (at_s, client) in enumerate(zip(times, clients, strict=True)):
            yield UserAction(at_s, kind, client, number, object_size(settings, seed, number))


def _arrivals(rate_per_s: float, duration_s: float, seed: int) -> Iterator[float]:
    """A Poisson process."""
    rng = random.Random(derived_seed(seed, "workload/times"))
    at_s = rng.expovariate(rate_per_s) if rate_per_s else math.inf
    while at_s < duration_s:
        yield at_s
        at_s += rng.expovariate(rate_per_s)
