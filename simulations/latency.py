"""How long one message takes between two places.  Fixed per pair for a whole run."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from dhtstore.model.contact import Address

_MASK_64 = (1 << 64) - 1


class Latency(Protocol):
    """A model of distance.  ``place`` is asked once per machine, ``one_way_s`` per message."""

    def place(self, address: Address) -> Any:
        """Where a machine is; depends on the seed and the address only, not on who came first."""

    def one_way_s(self, a: Any, b: Any) -> float:
        """Seconds from a to b; symmetric."""


class FixedLatency:
    """The same for all pairs."""

    def __init__(self, one_way_s: float) -> None:
        self._one_way_s = one_way_s

    def place(self, address: Address) -> None:
        return None

    def one_way_s(self, a: None, b: None) -> float:
        return self._one_way_s


class UniformLatency:
    """Uniform between two bounds, drawn per pair from hash(seed, min, max)."""

    def __init__(self, seed: int, low_s: float, high_s: float) -> None:
        if not 0 <= low_s <= high_s:
            raise ValueError(f"latencies from {low_s} s to {high_s} s")
        self._seed, self._low_s, self._span = seed & _MASK_64, low_s, (high_s - low_s) / 2**64

    def place(self, address: Address) -> int:
        return stable_hash(str(address).encode())

    def one_way_s(self, a: int, b: int) -> float:
        return self._low_s + self._span * mix(self._seed, min(a, b), max(a, b))


def stable_hash(data: bytes) -> int:
    """64 bits that are the same in every process, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def mix(seed: int, a: int, b: int) -> int:
    """64 bits from three 64-bit numbers: the finalizer of SplitMix64 (Steele et al. 2014)."""
    z = (seed ^ a * 0x9E3779B97F4A7C15 ^ (b << 1) * 0xD1342543DE82EF95) & _MASK_64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK_64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK_64
    return z ^ (z >> 31)
