"""How long one message takes between two places.  Fixed per pair for a whole run."""

from __future__ import annotations

import hashlib
import math
import random
import statistics
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dhtstore.model.contact import Address
from simulations.errors import ScenarioError
from simulations.regions import REGIONS
from simulations.units import seconds

_MASK_64 = (1 << 64) - 1


class Latency(Protocol):
    """A model of distance.  ``place`` is asked once per machine, ``one_way_s`` per message."""

    def place(self, address: Address, region: str = "") -> Any:
        """Where a machine is, in that region if the model has any; depends on the seed and the
        address only, not on who came first."""

    def region(self, address: Address) -> str:
        """Where ``place`` has it if nobody says; "" in a model without regions."""

    def one_way_s(self, a: Any, b: Any) -> float:
        """Seconds from a to b; symmetric."""


class FixedLatency:
    """The same for all pairs."""

    def __init__(self, one_way_s: float) -> None:
        self._one_way_s = one_way_s

    def place(self, address: Address, region: str = "") -> None:
        return None

    def region(self, address: Address) -> str:
        return ""

    def one_way_s(self, a: None, b: None) -> float:
        return self._one_way_s


class UniformLatency:
    """Uniform between two bounds, drawn per pair from hash(seed, min, max)."""

    def __init__(self, seed: int, low_s: float, high_s: float) -> None:
        if not 0 <= low_s <= high_s:
            raise ValueError(f"latencies from {low_s} s to {high_s} s")
        self._seed, self._low_s, self._span = seed & _MASK_64, low_s, (high_s - low_s) / 2**64

    def place(self, address: Address, region: str = "") -> int:
        return stable_hash(str(address).encode())

    def region(self, address: Address) -> str:
        return ""

    def one_way_s(self, a: int, b: int) -> float:
        return self._low_s + self._span * mix(self._seed, min(a, b), max(a, b))


class CoordinateLatency:
    """Clusters of cities on a plane, a log-normal access delay at each end, and detours: a pair's
    way is longer than its places tell by a factor that is drawn per pair, much longer for few.

    Fitted to round trips between random pairs of PlanetLab (490 hosts; WonderNetwork's 213 cities
    agree from the median on): p5 20, p25 60, p50 135-140, p95 311-325 and p99 379-413 ms, and
    to its violations of the triangle inequality: of three hosts, the longest way is more than
    1.1 times the way round in 6.2 %, more than 1.2 times in 3 %.  The nearest percent of pairs,
    hosts of one site at 6 ms, are 11 ms apart here.
    """

    # Weight, x and y of each of REGIONS, in order; one unit is one millisecond one way.
    _CLUSTERS = (
        (0.22, -35.0, 10.9),
        (0.12, -57.1, 8.1),
        (0.36, 0.0, 19.1),
        (0.16, 81.1, 2.7),
        (0.05, 50.6, -16.4),
        (0.05, -27.7, -65.5),
        (0.04, 87.5, -81.9),
    )
    _SPREAD_MS = 4.9  # standard deviation within a cluster, each way
    _ACCESS_MEDIAN_MS, _ACCESS_SIGMA = 1.94, 1.372
    _DETOUR_MAX, _DETOUR_POWER = 0.59, 16  # of the way; a tenth of the pairs have over 0.11

    def __init__(self, seed: int, others: Mapping[str, tuple[float, float]] = {}) -> None:
        """``others`` are further regions, x and y in milliseconds, where nobody is by chance."""
        self._seed = seed
        known = zip(REGIONS, self._CLUSTERS, strict=True)
        self._centres = {name: (x, y) for name, (_, x, y) in known} | dict(others)

    def region(self, address: Address) -> str:
        return self._draw(address)[1]

    def _draw(self, address: Address) -> tuple[random.Random, str]:
        """A region by weight, and what else is drawn of that machine."""
        rng = random.Random(stable_hash(f"{self._seed}/place/{address}".encode()))
        return rng, rng.choices(REGIONS, [weight for weight, _, _ in self._CLUSTERS])[0]

    def place(self, address: Address, region: str = "") -> tuple[float, float, float, int]:
        """x, y and the access delay, in seconds, and an odd number of 64 bits for detours."""
        rng, drawn = self._draw(address)
        x, y = self._centres[region or drawn]
        access_ms = rng.lognormvariate(math.log(self._ACCESS_MEDIAN_MS), self._ACCESS_SIGMA)
        x, y = rng.gauss(x, self._SPREAD_MS), rng.gauss(y, self._SPREAD_MS)
        return x / 1000, y / 1000, access_ms / 1000, rng.getrandbits(64) | 1

    def one_way_s(
        self, a: tuple[float, float, float, int], b: tuple[float, float, float, int]
    ) -> float:
        ax, ay, aw, a_odd = a
        bx, by, bw, b_odd = b
        x, y = ax - bx, ay - by
        # Products of random odd numbers are uniform over the odd ones, whatever one of them is.
        detour = ((a_odd * b_odd & _MASK_64) * 2.0**-64) ** self._DETOUR_POWER
        return (math.sqrt(x * x + y * y) + aw + bw) * (1 + self._DETOUR_MAX * detour)


class MatrixLatency:
    """Measured round trips between hosts; each machine stands at one of them.

    Pairs that were not measured (0, negative or NaN) get the median of those that were, and two
    machines at one host the 5th percentile.  Directions are averaged.
    """

    def __init__(self, seed: int, round_trips_s: Sequence[Sequence[float]]) -> None:
        self._seed, self._hosts = seed, len(round_trips_s)
        measured = sorted(value for row in round_trips_s for value in row if value > 0)
        if len(measured) < 2 or any(len(row) != self._hosts for row in round_trips_s):
            raise ValueError("not a square matrix with at least two measured round trips")
        median, near = statistics.median(measured), measured[len(measured) // 20]
        self._one_way_s = array("d")
        for a, row in enumerate(round_trips_s):
            for b in range(self._hosts):
                pair = [value for value in (row[b], round_trips_s[b][a]) if value > 0]
                round_trip_s = near if a == b else sum(pair) / len(pair) if pair else median
                self._one_way_s.append(round_trip_s / 2)

    @classmethod
    def load(cls, path: Path, seed: int, unit: str = "ms") -> MatrixLatency:
        """A text matrix, a row of round trips a line, as the PlanetLab and Seattle sets of
        github.com/uofa-rzhu3/NetLatency-Data; ``unit`` is "ms" for the former, "s" for the
        latter.  Raises ScenarioError."""
        try:
            unit_s = seconds(f"1 {unit}")
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [[float(cell) * unit_s for cell in line.split()] for line in lines]
            return cls(seed, [row for row in rows if row])
        except (OSError, ValueError) as error:
            raise ScenarioError(f"latency matrix {path}: {error}") from error

    def place(self, address: Address, region: str = "") -> int:
        return stable_hash(f"{self._seed}/host/{address}".encode()) % self._hosts

    def region(self, address: Address) -> str:
        return ""

    def one_way_s(self, a: int, b: int) -> float:
        return self._one_way_s[a * self._hosts + b]


def stable_hash(data: bytes) -> int:
    """64 bits that are the same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def mix(seed: int, a: int, b: int) -> int:
    """64 bits from three 64-bit numbers: the finalizer of SplitMix64 (Steele et al. 2014)."""
    z = (seed ^ a * 0x9E3779B97F4A7C15 ^ (b << 1) * 0xD1342543DE82EF95) & _MASK_64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK_64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK_64
    return z ^ (z >> 31)
