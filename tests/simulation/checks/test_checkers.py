"""Each checker finds the fault it is for, and nothing in a world that is well."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from dhtstore.model.identity import NodeId
from dhtstore.params import K
from simulations.checks.checkers import CHECKERS, PromiseJournal, bucket_index, check_all

LAST = 2**160 - 1
HALF = 2**159
Buckets = list[tuple[int, int, list[NodeId]]]


def number_id(number: int) -> NodeId:
    return NodeId(number.to_bytes(20, "big"))


@dataclass
class FakeWorld:
    """A world of two nodes whose state is written down; well as it stands."""

    now_s: float = 100.0
    journal: PromiseJournal = field(default_factory=PromiseJournal)
    up: list[int] = field(default_factory=lambda: [0, 1])
    liars: list[int] = field(default_factory=list)
    disks: list[int] = field(default_factory=lambda: [0, 1])
    rotten: list[tuple[int, int]] = field(default_factory=list)
    held: list[tuple[int, int]] = field(default_factory=lambda: [(0, 5), (1, 5)])
    table: Buckets = field(
        default_factory=lambda: [(0, HALF - 1, [number_id(1)]), (HALF, LAST, [number_id(LAST)])]
    )
    expiries_s: list[float] = field(default_factory=lambda: [101.0, 99.5])
    left: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal.put(10.0, 5, b"data", (0, 1))
        self.journal.got(20.0, 5, 1, b"data")
        self.operation = self.journal.start(90.0, 105.0, "get 5")

    def nodes_up(self) -> Sequence[int]:
        return self.up

    def honest(self, node: int) -> bool:
        return node not in self.liars

    def has_disk(self, node: int) -> bool:
        return node in self.disks

    def damaged(self, node: int, object_number: int) -> bool:
        return (node, object_number) in self.rotten

    def holds(self, node: int, object_number: int) -> bool:
        return (node, object_number) in self.held

    def node_id(self, node: int) -> NodeId:
        return number_id(100 + node)

    def buckets(self, node: int) -> Buckets:
        return self.table

    def record_expiries_s(self, node: int) -> Sequence[float]:
        return self.expiries_s

    def leftovers(self) -> Mapping[int, Sequence[str]]:
        return self.left


def found(spoil: Callable[[FakeWorld], object]) -> list[str]:
    world = FakeWorld()
    spoil(world)
    return [f"{violation.checker}: {violation.what}" for violation in check_all(world)]


def test_a_world_that_is_well() -> None:
    assert found(lambda world: None) == []


SPOILT: list[tuple[Callable[[FakeWorld], object], str]] = [
    (lambda w: w.held.clear(), "nothing_lost: object 5 is on none of its live holders [0, 1]"),
    (lambda w: w.journal.got(30, 5, 0, b"date"), "no_wrong_bytes: node 0 got wrong bytes"),
    (lambda w: w.table[0][2].append(number_id(100)), "sound_tables: node 0: it is its own"),
    (lambda w: w.table[0][2].append(number_id(1)), "sound_tables: node 0: 00.*01 is there twice"),
    (lambda w: w.table[0][2].append(number_id(HALF)), "sound_tables: node 0: 80.*wrong bucket"),
    (lambda w: w.table[0][2].extend(map(number_id, range(2, 2 + K))), "21 contacts"),
    (lambda w: w.table.pop(0), "sound_tables: node 0: the buckets leave a gap"),
    (lambda w: w.table.pop(1), "sound_tables: node 0: the buckets end at 80"),
    (lambda w: w.expiries_s.append(40.0), "records_expire: node 0 serves 1 expired .* by 60 s"),
    (lambda w: w.left.update({3: ["refresh"]}), "no_forgotten_tasks: node 3 .* refresh"),
    (lambda w: setattr(w, "now_s", 106.0), "progress: get 5, started at 90.000 s"),
    (lambda w: w.journal.end(106.0, w.operation), "progress: get 5 ended after 105.000 s"),
]


@pytest.mark.parametrize(("spoil", "expected"), SPOILT)
def test_each_fault_is_found(spoil: Callable[[FakeWorld], object], expected: str) -> None:

    texts = found(spoil)
    pattern = expected if "*" in expected else re.escape(expected)
    assert any(re.search(pattern, text) for text in texts), texts


@pytest.mark.parametrize(
    "excuse",
    [
        lambda w: w.disks.clear(),
        lambda w: w.liars.extend([0, 1]),
        lambda w: w.rotten.extend([(0, 5), (1, 5)]),
    ],
)
def test_what_faults_took_is_not_held_against_the_nodes(
    excuse: Callable[[FakeWorld], object],
) -> None:
    def spoil(world: FakeWorld) -> None:
        world.held.clear()
        excuse(world)

    assert found(spoil) == []


def test_one_holder_that_has_it_is_enough() -> None:
    assert found(lambda world: world.held.remove((0, 5))) == []


def test_an_operation_that_ended_is_not_late() -> None:
    def spoil(world: FakeWorld) -> None:
        world.journal.end(104.0, world.operation)
        world.now_s = 1e6
        world.expiries_s.clear()

    assert found(spoil) == []


def test_every_checker_says_what_it_does_not_check() -> None:
    assert all(checker.blind_to and checker.name for checker in CHECKERS)
    assert len({checker.name for checker in CHECKERS}) == len(CHECKERS)


def test_buckets_are_numbered_from_the_far_half() -> None:
    assert bucket_index(number_id(0), number_id(HALF)) == 0
    assert bucket_index(number_id(0), number_id(1)) == 159
