"""How much work the patterns of one put make: theirs is a length times a length that anybody chose.

Counted in steps, of which a fast machine does a million in a few milliseconds, and a hostile
pattern makes 20 ns of each: so the same put is refused everywhere, or nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.errors import UsageError
from dhtstore.params import (
    PATTERN_STEPS_MAX,
    PATTERN_STEPS_PATH_MAX,
    PATTERN_STEPS_PER_NAME,
)


@dataclass(slots=True)
class Effort:
    """``spent`` grows for ever: whoever takes it in portions looks at it."""

    spent: int = 0
    left: int = PATTERN_STEPS_MAX

    def allow_name(self) -> None:
        """One name more is looked at."""
        self.left += PATTERN_STEPS_PER_NAME

    def take(self, steps: int, where: str) -> None:
        """Before they are made, for the patterns of ``where``.  Raises UsageError."""
        self.spent += steps
        self.left -= steps
        if self.left < 0 or steps > PATTERN_STEPS_PATH_MAX:
            failure = UsageError(f"the patterns of {where} take too long with the names there are")
            raise failure.hinted("fewer patterns, or fewer '**' in them, say the same mostly")
