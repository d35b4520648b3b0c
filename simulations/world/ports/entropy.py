"""Entropy that follows from a seed (``dhtstore.net.ports``)."""

from __future__ import annotations

import random

from simulations.seeds import derived_seed


class SimEntropy:
    """Two streams derived from the root seed and a label: choices do not disturb nonces."""

    def __init__(self, seed: int, label: str) -> None:
        self._rng = random.Random(derived_seed(seed, f"{label}/choices"))
        self._bytes = random.Random(derived_seed(seed, f"{label}/bytes"))

    @property
    def rng(self) -> random.Random:
        return self._rng

    def random_bytes(self, count: int) -> bytes:
        return self._bytes.randbytes(count)
