"""Many claims on one unit, and one name for two kinds of unit: what goes through all that is kept
holds one claim at a time, and looks at each kind."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Final

import pytest

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.copies.completeness import Completeness
from dhtstore.params import MIB, REPLICAS_MAX
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import no_trace
from simulations.world.ports.blocking import InlineBlocking
from tests.unit.node.copies_world import new_ledger

ROOTS: Final = tuple(Cid.of(number.to_bytes(4, "big")) for number in range(2000))
CLAIMS: Final = 150  # of 150 KiB each, once decoded: 22 MiB
PEAK_MAX_BYTES: Final = 4 * MIB


def claim(roots: tuple[Cid, ...], number: int, *, replicas: int = 3, spine: bool = False) -> Claim:
    """Below a root of its own, but for a spine: that is the root's."""
    unit = Unit.of(roots, len(roots))
    root = roots[0] if spine else Cid.of(b"root %d" % number)
    owner = number.to_bytes(32, "big")
    policy = attach(Policy(owner, root.raw, 1, replicas, 0, removed=False), b"s" * 64)
    raws = tuple(each.raw for each in roots)
    return Claim(unit.name, raws, spine, len(roots), len(roots), policy, 164 * len(roots))


@pytest.mark.parametrize(
    "go_through",
    [
        lambda claims, unit: sum(1 for _ in claims.units_kept(0)),
        lambda claims, unit: len(claims.kept(unit, 0)),
        lambda claims, unit: claims.count_kept(0),
        lambda claims, unit: sum(1 for _ in claims.for_unit(unit)) // CLAIMS,
    ],
    ids=["units-kept", "kept", "count-kept", "for-unit"],
)
def test_no_more_than_a_claim_is_held_at_a_time(go_through: Callable[[Claims, bytes], int]) -> None:
    claims = Claims(MemoryKeyValue())
    for number in range(CLAIMS):
        claims.put(claim(ROOTS, number))
    tracemalloc.start()
    try:
        assert go_through(claims, Unit.of(ROOTS, len(ROOTS)).name) == 1
        assert tracemalloc.get_traced_memory()[1] < PEAK_MAX_BYTES
    finally:
        tracemalloc.stop()


def test_the_best_claim_is_the_one_that_wants_most() -> None:
    claims = Claims(MemoryKeyValue())
    for number, replicas in enumerate([3, 9, 5]):
        claims.put(claim(ROOTS[:2], number, replicas=replicas))
    assert [each.policy.replicas for each in claims.units_kept(0)] == [9]


def test_a_claim_on_a_spine_shadows_no_subtree_of_that_name() -> None:
    claims = Claims(MemoryKeyValue())
    claims.put(claim(ROOTS[:1], 1))
    claims.put(claim(ROOTS[:1], 2, replicas=REPLICAS_MAX, spine=True))
    assert sorted(each.spine for each in claims.units_kept(0)) == [False, True]
    assert claims.count_kept(0) == 1  # that many names are announced


def test_nor_one_that_is_only_pinned() -> None:
    """What is looked at for rot and told by ``verify``."""
    ledger, store = new_ledger(), MemoryBlockStore()
    completeness = Completeness(Disk(store, InlineBlocking()), ledger, no_trace)
    pinned = Unit.of(ROOTS[:1], 1)
    ledger.pins.add(ROOTS[0], "by hand", "user", [pinned])
    ledger.claims.put(claim(ROOTS[:1], 2, replicas=REPLICAS_MAX, spine=True))
    assert pinned in list(completeness.kept(0))
