"""``[asked]``: what the measures of a scenario's own module are to be, as `lost_ever = "<= 0"`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulations.errors import ScenarioError

NAME: Final = "asked"
_BOUND: Final = re.compile(r"(<=|>=) *([0-9.eE+-]+) *(%?)")


@dataclass(frozen=True, slots=True)
class Bound:
    """``value`` is the most or the least that is asked; ``written`` as the file has it."""

    value: float
    is_most: bool
    written: str

    def holds(self, found: float) -> bool:
        return found <= self.value if self.is_most else found >= self.value


def read_asked(table: object) -> dict[str, Bound]:
    """By measure; raises ScenarioError naming the key."""
    if not isinstance(table, Mapping):
        raise ScenarioError(f"[{NAME}] must be a table")
    return {name: _bound(name, written) for name, written in table.items()}


def _bound(name: str, written: object) -> Bound:
    found = _BOUND.fullmatch(written) if isinstance(written, str) else None
    try:
        if found is None:
            raise ValueError
        value = float(found[2]) * (0.01 if found[3] else 1)
    except ValueError:
        wrong = f"{NAME}.{name}: {written!r} is no bound such as '>= 97 %' or '<= 3'"
        raise ScenarioError(wrong) from None
    return Bound(value, found[1] == "<=", found[0])
