"""Each checker finds the fault it is for, and nothing in a world that is well."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dhtstore.model.identity import NodeId
from dhtstore.params import K
from simulations.checks.checkers import CHECKERS, check_all
from simulations.checks.journal import PromiseJournal
from simulations.checks.tables import DeadContactsGo, bucket_index
from simulations.checks.world_view import RecordPlace
from simulations.nodes.insight import DiskRoom, IndexAnswer, KeptRecord

DATA = hashlib.sha256(b"data").digest()
LAST = 2**160 - 1
HALF = 2**159
Buckets = list[tuple[int, int, list[NodeId]]]


def number_id(number: int) -> NodeId:
    return NodeId(number.to_bytes(20, "big"))


KEY = bytes(19) + b"K"


def kept(signer: bytes = b"0", *, expires_s: float = 1e9, **other: Any) -> KeptRecord:
    record = KeptRecord(KEY, signer, 5, 10.0, expires_s, True, False, lambda: True)
    return replace(record, **other)


def later(world: FakeWorld, now_s: float = 1e5) -> None:
    """Long after everything was put and announced, and nothing runs any more."""
    world.journal.end(100.0, world.operation)
    world.now_s, world.joined = now_s, -100.0
    world.kept[:] = [kept(arrived_s=now_s - 9.0), kept(b"1", arrived_s=now_s - 9.0)]


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
    kept: list[KeptRecord] = field(default_factory=lambda: [kept(), kept(b"1", expires_s=99.5)])
    sequences_seen: dict[RecordPlace, int] = field(default_factory=dict)
    unclaimed: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    apart: list[tuple[int, int]] = field(default_factory=list)
    silenced_s: tuple[float, float] = (-math.inf, -math.inf)
    unopened: list[str] = field(default_factory=list)
    unpinned: list[int] = field(default_factory=list)
    served: int = 1 << 20
    in_vain: list[str] = field(default_factory=list)
    disk: DiskRoom = field(default_factory=lambda: DiskRoom(1000, 0, 500, 500, 0))
    dead: dict[NodeId, float] = field(default_factory=dict)
    joined: float = 0.0
    told: IndexAnswer | None = None
    left: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal.put(10.0, 5, DATA, 4, (0, 1), putter=0)
        self.journal.got(20.0, 5, 1, DATA)
        self.operation = self.journal.start(90.0, 105.0, "get 5")

    def nodes_up(self) -> Sequence[int]:
        return self.up

    def honest(self, node: int) -> bool:
        return node not in self.liars

    def kept_apart(self, one: int, other: int, since_s: float) -> bool:
        return (one, other) in self.apart

    def dropped_until_s(self, from_s: float, to_s: float) -> float:
        begin_s, end_s = self.silenced_s
        return end_s if begin_s <= to_s and end_s >= from_s else -math.inf

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

    def records(self, node: int) -> Sequence[KeptRecord]:
        return self.kept

    def joined_s(self, node: int) -> float | None:
        return self.joined

    def dead_s(self, contact: NodeId) -> float:
        return self.dead.get(contact, 0.0)

    def claims(self, node: int, object_number: int) -> bool:
        return node not in self.unclaimed

    def let_go(self, node: int, object_number: int) -> bool:
        return node in self.dropped

    def pinned(self, node: int, object_number: int) -> bool:
        return node not in self.unpinned

    def served_bytes(self, node: int) -> int:
        return self.served

    def claimed_in_vain(self, node: int, at_most: int) -> Sequence[str]:
        return self.in_vain

    def disk_faults(self) -> Sequence[str]:
        return self.unopened

    def room(self, node: int) -> DiskRoom:
        return self.disk

    def life(self, node: int) -> int:
        return 0

    def key_of(self, object_number: int) -> bytes:
        return KEY

    def index_nodes(self, object_number: int) -> Sequence[int]:
        return self.up

    def holder_id(self, node: int) -> bytes:
        return b"%d" % node

    def answer(self, node: int, target: bytes) -> IndexAnswer:
        if self.told is not None:
            return self.told
        number = int.from_bytes(target, "big")
        known = [one for _, _, members in self.table for one in members]
        known.sort(key=lambda one: int.from_bytes(one, "big") ^ number)
        live = [r.signer for r in self.kept if r.key == target and r.serves(self.now_s)]
        return IndexAnswer(known, len(live), live)

    def leftovers(self) -> Mapping[int, Sequence[str]]:
        return self.left


def nothing_told(world: FakeWorld) -> None:
    later(world)
    world.kept.clear()


def unreachable(world: FakeWorld) -> None:
    later(world)
    world.kept += [kept(arrived_s=world.now_s, sequence=number) for number in range(8)]


def few_replicas(world: FakeWorld) -> None:
    world.up = list(range(9))
    for number in range(10):
        world.held += [(0, number), (1, number)]
        world.journal.put(10.0, number + 100, DATA, 4, (), replicas=3, min_acks=0)


def room(world: FakeWorld, **other: Any) -> None:
    world.disk = replace(world.disk, **other)


def dead_contact(world: FakeWorld) -> None:
    later(world)
    world.dead[number_id(1)] = DeadContactsGo.FOUND_OUT_S + 1


def told(world: FakeWorld, contacts: list[NodeId], providers: list[bytes]) -> None:
    world.told = IndexAnswer(contacts, len(providers), providers)


def found(spoil: Callable[[FakeWorld], object]) -> list[str]:
    world = FakeWorld()
    spoil(world)
    return [f"{violation.checker}: {violation.what}" for violation in check_all(world)]


def test_a_world_that_is_well() -> None:
    assert found(lambda world: None) == []


def test_withdrawals_take_of_the_room_for_contacts() -> None:
    def taken_back(world: FakeWorld) -> None:
        world.told = IndexAnswer([number_id(1)], 0, [], withdrawals=2)

    assert not [each for each in found(taken_back) if "contacts of" in each]


def test_a_copy_that_went_as_one_too_many_breaks_no_word() -> None:
    def surplus(world: FakeWorld) -> None:
        world.held.remove((1, 5))
        world.dropped.append(1)

    assert not [each for each in found(surplus) if each.startswith("receipts_hold")]


SPOILT: list[tuple[Callable[[FakeWorld], object], str]] = [
    (lambda w: w.held.clear(), "nothing_lost: object 5 is on none of its live holders [0, 1]"),
    (lambda w: w.unopened.append("node 1: the ledger"), "disks_open: node 1: the ledger"),
    (lambda w: w.journal.got(30, 5, 0, DATA[::-1]), "no_wrong_bytes: node 0 got wrong bytes"),
    (lambda w: w.table[0][2].append(number_id(100)), "sound_tables: node 0: it is its own"),
    (lambda w: w.table[0][2].append(number_id(1)), "sound_tables: node 0: 00.*01 is there twice"),
    (lambda w: w.table[0][2].append(number_id(HALF)), "sound_tables: node 0: 80.*wrong bucket"),
    (lambda w: w.table[0][2].extend(map(number_id, range(2, 2 + K))), "21 contacts"),
    (lambda w: w.table.pop(0), "sound_tables: node 0: the buckets leave a gap"),
    (lambda w: w.table.pop(1), "sound_tables: node 0: the buckets end at 80"),
    (lambda w: w.kept.append(kept(expires_s=40.0)), "records_expire: .* 1 expired .* by 60 s"),
    (lambda w: w.held.remove((1, 5)), "receipts_hold: node 1 signed for object 5 and does not"),
    (lambda w: w.unclaimed.append(0), "receipts_hold: node 0 signed .* and claims it no more"),
    (lambda w: w.unpinned.append(0), "puts_pinned: node 0 put object 5, keeps a copy, and"),
    (lambda w: setattr(w, "served", 3 << 20), "served_once: 6 MiB of blocks were sent, 0 were"),
    (unreachable, "providers_reachable: of 20 records of providers, 0 have an address"),
    (lambda w: w.journal.put(1.0, 5, DATA, 4, (0,), min_acks=2), "copies_reached: object 5"),
    (lambda w: few_replicas(w), "copies_reached: 10 of 11 objects have fewer"),
    (lambda w: w.in_vain.append("bafy"), "claims_have_blocks: node 0 claims bafy"),
    (lambda w: room(w, reserved_bytes=9), "room_is_counted: node 0: 9 bytes are reserved for"),
    (lambda w: room(w, reserved_bytes=-9), "room_is_counted: node 0: 9 more bytes"),
    (lambda w: room(w, blocks_bytes=600), "room_is_counted: node 0: blocks take 600 bytes, 500"),
    (lambda w: room(w, blocks_bytes=400), "room_is_counted: node 0: 500 bytes are counted"),
    (lambda w: room(w, capacity_bytes=400), "room_is_counted: node 0: blocks take 500 of 400"),
    (lambda w: dead_contact(w), "dead_contacts_go: 2 of 4 contacts"),
    (lambda w: told(w, [number_id(LAST)], [b"0"]), "answers_are_true: .* not name the closest"),
    (lambda w: told(w, [], [b"0"]), "answers_are_true: node 0 names 0 contacts of 2"),
    (lambda w: told(w, [number_id(1)], []), "answers_are_true: node 0 tells of 0 providers"),
    (
        lambda w: w.kept.append(kept(genuine=lambda: False)),
        "records_genuine: node 0 keeps a record",
    ),
    (lambda w: w.sequences_seen.update({(1, 0, KEY, b"0"): 6}), "records_genuine: node 1 .* 6"),
    (nothing_told, "records_placed: 0 of 4 records are where they"),
    (nothing_told, "records_placed: node 0 did not announce object 5"),
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
    assert not any("nothing_lost" in one for one in found(lambda w: w.held.remove((0, 5))))


def test_an_operation_that_ended_is_not_late() -> None:
    def spoil(world: FakeWorld) -> None:
        world.journal.end(104.0, world.operation)
        world.now_s = 1000.0
        world.kept.clear()

    assert found(spoil) == []


def test_records_that_are_announced_again_are_right() -> None:
    assert found(later) == []


@pytest.mark.parametrize(
    ("silenced_s", "told", "now_s", "complains"),
    [
        ((5.0, 400.0), False, 2500.0, False),  # nobody could hear it, nor can it be known yet
        ((5.0, 400.0), False, 5000.0, True),  # by now it should have been announced again
        ((100.0, 400.0), False, 2500.0, True),  # it was announced before, and heard
        ((100.0, 400.0), True, 2500.0, False),
    ],
)
def test_what_was_announced_into_a_fault_is_due_an_hour_after_it(
    silenced_s: tuple[float, float], told: bool, now_s: float, complains: bool
) -> None:
    def spoil(world: FakeWorld) -> None:
        later(world, now_s)
        world.silenced_s = silenced_s
        world.kept[:] = [kept(), kept(b"1")] if told else []

    assert any("records_placed" in one for one in found(spoil)) is complains


def test_every_checker_says_what_it_does_not_check() -> None:
    assert all(checker.blind_to and checker.name for checker in CHECKERS)
    assert len({checker.name for checker in CHECKERS}) == len(CHECKERS)


def test_buckets_are_numbered_from_the_far_half() -> None:
    assert bucket_index(number_id(0), number_id(HALF)) == 0
    assert bucket_index(number_id(0), number_id(1)) == 159
