"""What a checker is."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from simulations.checks.world_view import WorldView
from simulations.seeds import derived_seed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be."""

    at_s: float
    checker: str
    what: str


class Checker(ABC):
    """Reports what is wrong now; keeps nothing between calls."""

    name: ClassVar[str]
    blind_to: ClassVar[str]

    @abstractmethod
    def check(self, world: WorldView) -> list[str]:
        """A line for each thing that is wrong."""


def some(of: Sequence[T], most: int, now_s: float) -> Sequence[T]:
    """So many of them at most: others at each look, the same in each run of a seed."""
    if len(of) <= most:
        return of
    return random.Random(derived_seed(0, f"look/{now_s!r}")).sample(of, most)
