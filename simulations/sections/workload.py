"""``[workload]``: what users do."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.settings import choice, duration, integer, number, share, size


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """Operations a second over the whole network; popularity is Zipf with that exponent.  Of a
    mix, ``lookup_share`` are lookups of random keys, ``put_share`` of the others puts."""

    kind: str = choice("none", "mix", "flash_crowd", "lookups", "reprovide")
    operations_per_s: float = number(1.0, 0.0, 1e6)
    put_share: float = share("10 %")
    lookup_share: float = share(0)
    objects: int = integer(100, 1, 10_000_000)
    zipf_exponent: float = number(1.0, 0.0, 5.0)
    size_median_bytes: int = size("16 KiB", 1)
    size_sigma: float = number(2.0, 0.0, 5.0)
    size_max_bytes: int = size("8 MiB", 1)
    crowd: int = integer(100, 1, 100_000)
    ramp_s: float = duration("1 min")

    def __post_init__(self) -> None:
        if self.size_median_bytes > self.size_max_bytes:
            raise ValueError("size_median_bytes is more than size_max_bytes")
