"""What must hold in every world, apart from any workload.

A checker looks at the world from outside and names what is wrong; ``blind_to`` says what it does
not check.  What users were promised is in the ``PromiseJournal``, kept by whoever drives the
workload.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import ClassVar, Protocol

from dhtstore.model.identity import NodeId, distance
from dhtstore.params import NODE_ID_BYTES, PROVIDER_TTL_S, K

_BITS = 8 * NODE_ID_BYTES


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be."""

    at_s: float
    checker: str
    what: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A put that succeeded: the user may rely on these holders (numbers of nodes)."""

    at_s: float
    sha256: bytes
    size_bytes: int
    holders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """A get that succeeded, and the hash of what it gave."""

    at_s: float
    object: int
    client: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Running:
    """An operation under way; ``where`` tells what it waits for, ``asleep_s`` for how long its
    machine has slept since: that does not count."""

    started_s: float
    deadline_s: float
    what: str
    where: Callable[[], str]
    asleep_s: Callable[[], float]

    def overdue(self, now_s: float) -> bool:
        return self.deadline_s + self.asleep_s() < now_s


class PromiseJournal:
    """What was promised to users and what they got."""

    def __init__(self) -> None:
        self.acknowledged: dict[int, Acknowledged] = {}
        self.returned: list[Returned] = []
        self.running: dict[int, Running] = {}
        self.late: list[Running] = []  # ended, but after their deadline
        self._count = 0

    def start(
        self,
        now_s: float,
        deadline_s: float,
        what: str,
        where: Callable[[], str] = str,
        asleep_s: Callable[[], float] = float,
    ) -> int:
        """An operation begins and must be over by the deadline; returns its number."""
        self._count += 1
        self.running[self._count] = Running(now_s, deadline_s, what, where, asleep_s)
        return self._count

    def end(self, now_s: float, number: int) -> None:
        """It ended, well or not."""
        ended = self.running.pop(number)
        if ended.overdue(now_s):
            self.late.append(ended)

    def put(self, now_s: float, number: int, data: bytes, holders: Iterable[int]) -> None:
        sha256 = hashlib.sha256(data).digest()
        self.acknowledged[number] = Acknowledged(now_s, sha256, len(data), tuple(holders))

    def got(self, now_s: float, number: int, client: int, data: bytes) -> None:
        sha256 = hashlib.sha256(data).digest()
        self.returned.append(Returned(now_s, number, client, sha256))


class WorldView(Protocol):
    """What checkers may ask of a world."""

    @property
    def now_s(self) -> float: ...

    @property
    def journal(self) -> PromiseJournal: ...

    def nodes_up(self) -> Sequence[int]:
        """Numbers of the nodes that run."""

    def honest(self, node: int) -> bool:
        """False for nodes that lie by design."""

    def has_disk(self, node: int) -> bool:
        """Whether its data survives: it runs, or will start again with its disk."""

    def damaged(self, node: int, object_number: int) -> bool:
        """Whether a fault took blocks of that object from this node after it was stored."""

    def holds(self, node: int, object_number: int) -> bool:
        """Whether every block of the object can be read there and is right."""

    def node_id(self, node: int) -> NodeId: ...

    def buckets(self, node: int) -> Sequence[tuple[int, int, Sequence[NodeId]]]:
        """Of a running node's table: lowest id, highest id and members of each bucket."""

    def record_expiries_s(self, node: int) -> Sequence[float]:
        """When each provider record that a running node would serve expires, virtual seconds."""

    def leftovers(self) -> Mapping[int, Sequence[str]]:
        """Tasks of nodes that do not run any more, by node."""


class Checker(ABC):
    """Reports what is wrong now; keeps nothing between calls."""

    name: ClassVar[str]
    blind_to: ClassVar[str]

    @abstractmethod
    def check(self, world: WorldView) -> list[str]:
        """A line for each thing that is wrong."""


class NothingLost(Checker):
    """An acknowledged object is whole on a holder that no fault robbed of it, if there is one."""

    name = "nothing_lost"
    blind_to = (
        "whether it can be found and fetched; objects all of whose holders lost their disks, "
        "rotted or lie; whether the number of copies is kept; what is lost and found again "
        "between two looks"
    )

    def check(self, world: WorldView) -> list[str]:
        lost = []
        for number, put in world.journal.acknowledged.items():
            able = [node for node in put.holders if _answers_for(world, node, number)]
            if able and not any(world.holds(node, number) for node in able):
                lost.append(f"object {number} is on none of its live holders {able}")
        return lost


def _answers_for(world: WorldView, node: int, number: int) -> bool:
    return world.honest(node) and world.has_disk(node) and not world.damaged(node, number)


class NoWrongBytes(Checker):
    """No get ever returns other bytes than were put."""

    name = "no_wrong_bytes"
    blind_to = "gets that fail, and objects never acknowledged"

    def check(self, world: WorldView) -> list[str]:
        puts = world.journal.acknowledged
        return [
            f"node {got.client} got wrong bytes for object {got.object} at {got.at_s:.3f} s"
            for got in world.journal.returned
            if got.object in puts and puts[got.object].sha256 != got.sha256
        ]


class SoundTables(Checker):
    """Every contact stands once, in the bucket of its distance, at most k in each, never the
    node itself; the buckets cover the whole space without overlap."""

    name = "sound_tables"
    blind_to = (
        "whether contacts are alive, and whether better ones are missing; what arises and mends "
        "between two looks"
    )

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {node}: {wrong}"
            for node in world.nodes_up()
            for wrong in _table_faults(world.node_id(node), world.buckets(node))
        ]


def _table_faults(
    own: NodeId, buckets: Sequence[tuple[int, int, Sequence[NodeId]]]
) -> Iterable[str]:
    expected_low, everybody = 0, list[NodeId]()
    for low, high, members in sorted(buckets, key=itemgetter(0)):
        if low != expected_low:
            yield f"the buckets leave a gap or overlap at {low:040x}"
        expected_low = high + 1
        if members:
            everybody += members
            yield from _bucket_faults(own, low, high, members)
    if len(set(everybody)) < len(everybody):
        yield from (f"{one.hex()} is there twice" for one in _repeated(everybody))
    if expected_low != 1 << _BITS:
        yield f"the buckets end at {expected_low:040x}"


def _bucket_faults(own: NodeId, low: int, high: int, members: Sequence[NodeId]) -> Iterable[str]:
    if len(members) > K:
        yield f"{len(members)} contacts in one bucket"
    if own in members:
        yield "it is its own contact"
    ids = [int.from_bytes(member, "big") for member in members]
    if not low <= min(ids) <= max(ids) <= high:
        yield from (f"{one:040x} is in the wrong bucket" for one in ids if not low <= one <= high)


def _repeated(members: Sequence[NodeId]) -> Iterable[NodeId]:
    counts = Counter(members)
    return (member for member, count in counts.items() if count > 1)


class RecordsExpire(Checker):
    """No node serves a provider record past its expiry."""

    name = "records_expire"
    blind_to = (
        "records that vanish too early, or were served late only between two looks; anything in a "
        f"run shorter than the {PROVIDER_TTL_S / 3600:.0f} h that records live"
    )
    _GRACE_S = 1.0

    def check(self, world: WorldView) -> list[str]:
        found = []
        for node in world.nodes_up():
            late = [s for s in world.record_expiries_s(node) if s + self._GRACE_S < world.now_s]
            if late:
                oldest_s = world.now_s - min(late)
                found.append(f"node {node} serves {len(late)} expired records, by {oldest_s:.0f} s")
        return found


class NoForgottenTasks(Checker):
    """A node that stopped has left no task behind."""

    name = "no_forgotten_tasks"
    blind_to = "tasks that a running node has lost sight of"

    def check(self, world: WorldView) -> list[str]:
        return [
            f"node {node} is down and left {len(tasks)} tasks: {', '.join(tasks[:3])}"
            for node, tasks in world.leftovers().items()
            if tasks
        ]


class OperationsEnd(Checker):
    """Every operation ends, well or not, before its deadline."""

    name = "progress"
    blind_to = "how well operations end"

    def check(self, world: WorldView) -> list[str]:
        return [
            f"{running.what}, started at {running.started_s:.3f} s, should have ended by "
            f"{running.deadline_s:.3f} s; {running.where()}"
            for running in world.journal.running.values()
            if running.overdue(world.now_s)
        ] + [f"{ended.what} ended after {ended.deadline_s:.3f} s" for ended in world.journal.late]


CHECKERS: tuple[Checker, ...] = (
    NothingLost(),
    NoWrongBytes(),
    SoundTables(),
    RecordsExpire(),
    NoForgottenTasks(),
    OperationsEnd(),
)


def check_all(world: WorldView, checkers: Iterable[Checker] = CHECKERS) -> list[Violation]:
    """Everything that is wrong with the world now."""
    return [
        Violation(world.now_s, checker.name, what)
        for checker in checkers
        for what in checker.check(world)
    ]


def bucket_index(own: NodeId, other: NodeId) -> int:
    """The length of the common prefix: 0 for the far half (ProbeLab's numbering)."""
    return _BITS - distance(own, other).bit_length()
