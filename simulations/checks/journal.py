"""What was promised to users and what they got, kept by whoever drives the workload."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A put that succeeded: the user may rely on these holders (numbers of nodes), of whom it
    asked for ``replicas`` and was promised ``min_acks`` at least.  ``putter`` is the node that put
    it, -1 if it is not known."""

    at_s: float
    sha256: bytes
    size_bytes: int
    holders: tuple[int, ...]
    replicas: int = 1
    min_acks: int = 1
    putter: int = -1


@dataclass(frozen=True, slots=True)
class Returned:
    """A get that succeeded, and the hash of what it gave."""

    at_s: float
    object: int
    client: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Running:
    """An operation under way at the node ``client``; ``where`` tells what it waits for,
    ``asleep_s`` for how long its machine has slept since: that does not count."""

    started_s: float
    deadline_s: float
    what: str
    where: Callable[[], str]
    asleep_s: Callable[[], float]
    client: int

    def overdue(self, now_s: float) -> bool:
        return self.deadline_s + self.asleep_s() < now_s


class PromiseJournal:
    """What was promised to users and what they got.  ``wanted_bytes`` is how much of objects was to
    be sent for all that they began."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, Acknowledged] = {}
        self.returned: list[Returned] = []
        self.running: dict[int, Running] = {}
        self.late: list[Running] = []  # ended, but after their deadline
        self.wanted_bytes = 0
        self._count = 0

    def start(
        self,
        now_s: float,
        deadline_s: float,
        what: str,
        where: Callable[[], str] = str,
        asleep_s: Callable[[], float] = float,
        client: int = -1,
    ) -> int:
        """An operation begins and must be over by the deadline; returns its number."""
        self._count += 1
        self.running[self._count] = Running(now_s, deadline_s, what, where, asleep_s, client)
        return self._count

    def end(self, now_s: float, number: int) -> None:
        """It ended, well or not."""
        ended = self.running.pop(number)
        if ended.overdue(now_s):
            self.late.append(ended)

    def busy(self, node: int) -> bool:
        """Whether an operation is under way there."""
        return any(each.client == node for each in self.running.values())

    def put(
        self,
        now_s: float,
        number: int,
        sha256: bytes,
        size_bytes: int,
        holders: Iterable[int],
        *,
        replicas: int = 1,
        min_acks: int = 1,
        putter: int = -1,
    ) -> None:
        promised = Acknowledged(
            now_s, sha256, size_bytes, tuple(holders), replicas, min_acks, putter
        )
        self.acknowledged[number] = promised

    def got(self, now_s: float, number: int, client: int, sha256: bytes) -> None:
        self.returned.append(Returned(now_s, number, client, sha256))
