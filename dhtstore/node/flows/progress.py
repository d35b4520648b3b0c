"""What a long use case tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """``phase`` is one word for people ("reading", "copying", "fetching"); ``total_bytes`` is
    None while unknown; ``holders`` counts the nodes bytes move to or from."""

    phase: str
    done_bytes: int
    total_bytes: int | None = None
    holders: int = 0


ProgressSink = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """For callers that do not watch."""
