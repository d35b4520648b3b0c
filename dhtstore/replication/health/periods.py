"""How long everything that repair does takes: one value scales all of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from dhtstore.params import (
    ALWAYS_THERE_GUESS_S,
    AUDIT_EVERY_S,
    FELLOW_PING_S,
    GRACE_FIRST_S,
    GRACE_MAX_S,
    GRACE_MIN_S,
    GRACE_WATCHED_S,
    HOLDERS_LOOK_S,
    HOLDERS_LOOK_SHORT_S,
    MOVE_LOOK_S,
    PROVED_LATELY_S,
    REPAIR_LOOK_S,
    REPAIR_TURN_S,
    SILENCE_GAP_MAX_S,
    TRIM_AFTER_S,
)


@dataclass(frozen=True, slots=True)
class Periods:
    """As ``params`` has them, where each is explained."""

    look_s: float = REPAIR_LOOK_S
    ping_s: float = FELLOW_PING_S
    gap_max_s: float = SILENCE_GAP_MAX_S
    holders_look_s: float = HOLDERS_LOOK_S
    holders_look_short_s: float = HOLDERS_LOOK_SHORT_S
    grace_min_s: float = GRACE_MIN_S
    grace_first_s: float = GRACE_FIRST_S
    grace_max_s: float = GRACE_MAX_S
    watched_s: float = GRACE_WATCHED_S
    always_there_guess_s: float = ALWAYS_THERE_GUESS_S
    turn_s: float = REPAIR_TURN_S
    trim_after_s: float = TRIM_AFTER_S
    proved_lately_s: float = PROVED_LATELY_S
    audit_every_s: float = AUDIT_EVERY_S
    move_look_s: float = MOVE_LOOK_S

    @classmethod
    def within(cls, grace_max_s: float) -> Periods:
        """All of them in the same proportions."""
        part = grace_max_s / USUAL_PERIODS.grace_max_s
        return cls(*(getattr(USUAL_PERIODS, each.name) * part for each in fields(cls)))


USUAL_PERIODS: Final = Periods()
