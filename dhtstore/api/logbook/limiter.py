"""How many log lines there may be: strangers decide what happens here, and must not fill the disk.

Pure; ``now_s`` is monotonic.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

_ORIGINS_MAX: Final = 1024
_KINDS_MAX: Final = 256
SUPPRESSED_TOLD_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class LinePace:
    """``at_once`` lines, and ``per_s`` from then on."""

    at_once: int
    per_s: float


OWN: Final = LinePace(100, 10.0)  # what this machine and its user do
STRANGERS: Final = LinePace(20, 0.1)  # of a kind, whoever causes it: at most 9,000 lines a day
ORIGIN: Final = LinePace(5, 1 / 60)  # of a kind and an origin


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float

    def take(self, pace: LinePace, now_s: float) -> bool:
        self.tokens = min(pace.at_once, self.tokens + (now_s - self.at_s) * pace.per_s)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _LineKind:
    bucket: _Bucket
    told_s: float  # when it was last said how many were left out
    suppressed: int = 0
    origins: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)


class Limiter:
    """Counts what is left out, to be told once in SUPPRESSED_TOLD_S while there is something."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, _LineKind] = OrderedDict()

    def take(self, event: str, origin: str, pace: LinePace, now_s: float) -> bool:
        """Whether there is room for a line; if not, it is counted."""
        kind = self._kind(event, pace, now_s)
        own = not origin or _origin(kind, origin, now_s).take(ORIGIN, now_s)
        if own and kind.bucket.take(pace, now_s):
            return True
        kind.suppressed += 1
        return False

    def left_out(self, now_s: float) -> list[tuple[str, int]]:
        """Kinds of which lines were left out, how many, where that is to be told now."""
        due = [
            (event, kind)
            for event, kind in self._kinds.items()
            if kind.suppressed and now_s - kind.told_s >= SUPPRESSED_TOLD_S
        ]
        counts = [(event, kind.suppressed) for event, kind in due]
        for _, kind in due:
            kind.suppressed, kind.told_s = 0, now_s
        return counts

    def _kind(self, event: str, pace: LinePace, now_s: float) -> _LineKind:
        kind = self._kinds.get(event)
        if kind is None:
            kind = self._kinds[event] = _LineKind(_Bucket(pace.at_once, now_s), now_s)
            if len(self._kinds) > _KINDS_MAX:
                self._kinds.popitem(last=False)
        return kind


def _origin(kind: _LineKind, origin: str, now_s: float) -> _Bucket:
    """Those that came last are remembered."""
    bucket = kind.origins.pop(origin, None) or _Bucket(ORIGIN.at_once, now_s)
    kind.origins[origin] = bucket
    if len(kind.origins) > _ORIGINS_MAX:
        kind.origins.popitem(last=False)
    return bucket
