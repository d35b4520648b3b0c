"""Whatever a holder accepted as part of a unit, a collection finds by the claim on it.

DAGs are hostile: the same blocks in files, directories and shards' places, claims of any size, so
that one block is in a spine here and in a run there, units of any roots.  ``RECEIVED_EXAMPLES``
sets how many are tried.
"""

from __future__ import annotations

import os
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.content.builders.directory import DirectoryChild
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.units import unit_wants
from dhtstore.errors import MalformedDag
from dhtstore.model.cid import RAW, Cid
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.keeping.marks import Marks
from dhtstore.params import GIB, MIB, SPINE_SPAN_MAX_BYTES
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.claims import Claims
from dhtstore.store.ledger.memory import MemoryKeyValue
from tests.unit.content.dags import Dag

_SPANS: Final = (0, 600 * MIB, GIB + 1, 3 * GIB, SPINE_SPAN_MAX_BYTES, SPINE_SPAN_MAX_BYTES + 1)


def grown(rng: Random) -> tuple[Dag, list[Cid]]:
    """The later a node, the more may be below it."""
    dag = Dag()
    nodes = [dag.leaf(rng.randrange(1, 9)) for _ in range(4)]
    files = {node.cid: node.tsize_bytes for node in nodes}
    for _ in range(rng.randrange(2, 24)):
        below = [rng.choice(nodes[-6:]) for _ in range(rng.randrange(1, 5))]
        if rng.random() < 0.4:
            parts = [(cid, rng.choice((size, size, GIB))) for cid, size in files.items()]
            some = rng.sample(parts, min(len(parts), rng.randrange(1, 4)))
            cid = dag.join(some)
            files[cid] = sum(size for _, size in some)
            nodes.append(DirectoryChild("", cid, files[cid]))
        else:
            named = {f"{i}": _claimed(each, rng) for i, each in enumerate(below)}
            nodes.append(dag.directory(named))
    return dag, [node.cid for node in nodes]


def _claimed(child: DirectoryChild, rng: Random) -> DirectoryChild:
    more_bytes = rng.choice(_SPANS) if rng.random() < 0.5 else 0
    return DirectoryChild("", child.cid, min(child.tsize_bytes + more_bytes, 2**59))


def units_of(dag: Dag, cids: list[Cid], rng: Random) -> list[Unit]:
    """Those of a root, and some that a liar makes up."""
    units = [
        Unit.of(
            tuple(rng.sample(cids, min(len(cids), rng.randrange(1, 4)))),
            rng.choice((0, 100, GIB)),
            spine=rng.random() < 0.5,
        )
        for _ in range(3)
    ]
    for root in cids[-3:]:
        try:
            units += dag.answer(unit_wants(root))
        except MalformedDag:
            continue
    rng.shuffle(units)
    return units


def accepted(dag: Dag, unit: Unit, rng: Random) -> list[Cid]:
    """What a receive of it keeps, blocks coming in an order of chance; none if it is refused."""
    walk, taken = UnitWalk(unit), list[Cid]()
    try:
        for want, _ in dag.steps(walk, rng.randrange(1, 20), rng.getrandbits(32)):
            taken += [want.cid] if want else []
    except MalformedDag:
        return []
    return taken


def claim_on(unit: Unit, number: int) -> Claim:
    policy = attach(
        Policy(b"A" * 32, Cid.of(b"%d" % number).raw, 1, 3, 0, removed=False), b"s" * 64
    )
    roots = tuple(cid.raw for cid in unit.roots)
    return Claim(unit.name, roots, unit.spine, unit.size_bytes, 1, policy)


@settings(max_examples=int(os.environ.get("RECEIVED_EXAMPLES", "150")), deadline=None)
@given(st.integers(0, 2**64))
def test_what_was_received_is_marked_by_its_claims(seed: int) -> None:
    rng, store, table = Random(seed), MemoryBlockStore(), MemoryKeyValue()
    dag, cids = grown(rng)
    claims, kept = Claims(table, own=b"B" * 32), set[Cid]()
    for number, unit in enumerate(units_of(dag, cids, rng)):
        taken = accepted(dag, unit, rng)
        if taken:
            kept.update(taken)
            claims.put(claim_on(unit, number))
    with store.batch() as batch:
        for cid in kept:
            batch.put(cid, dag.blocks[cid])
        batch.commit()
    marks = Marks(store, table, ())
    while marks.more():
        pass
    assert marks.doubts == []
    assert [cid for cid in kept if cid.multihash not in marks.kept] == []
    store.sweep(marks.kept)
    assert all(store.has(cid) for cid in kept)
    assert any(cid.codec != RAW for cid in cids)
