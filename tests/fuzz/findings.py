"""What a fuzzed input did that it must not, and how long each may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

INPUT_CPU_MAX_S: Final = 0.025  # a datagram takes 50 to 300 us, of which 150 check a signature
_AGAIN: Final = 3  # what was slow once may have been the collector of garbage


class Broken(Exception):
    """Something that no input may bring about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``data`` did ``what``; ``kind`` says where it was put in."""

    kind: str
    what: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}: {self.data.hex()}"


@dataclass(slots=True)
class Report:
    """What came of many inputs; ``outcomes`` counts them by what was made of them."""

    inputs: int = 0
    slowest_s: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.inputs += other.inputs
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.findings += other.findings
        for outcome, count in other.outcomes.items():
            self.count(outcome, count)

    def count(self, outcome: str, times: int = 1) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + times

    def found(self, kind: str, what: str, data: bytes) -> None:
        self.findings.append(Finding(kind, what, data))

    def feed(self, kind: str, data: bytes, take: Callable[[bytes], object]) -> None:
        """Give ``take`` the input; whatever it raises is a finding, and so is much time."""
        self.inputs += 1
        took_s = self._timed(kind, data, take)
        if took_s > INPUT_CPU_MAX_S:
            took_s = min(took_s, *(self._timed(kind, data, take) for _ in range(_AGAIN)))
            if took_s > INPUT_CPU_MAX_S:
                self.found(kind, f"took {took_s * 1000:.0f} ms", data)
        self.slowest_s = max(self.slowest_s, took_s)

    def _timed(self, kind: str, data: bytes, take: Callable[[bytes], object]) -> float:
        began_s = time.thread_time()
        try:
            take(data)
        except Exception as error:
            self.found(kind, repr(error), data)
        return time.thread_time() - began_s
