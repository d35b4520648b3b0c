"""Receipts: what they state, that the claim stands before they are signed, and which are
believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as change

from dhtstore.content.dag.local import Leaves, walk_local
from dhtstore.errors import BlockMissing, ClockOff, InvalidSignature
from dhtstore.model.block import stored_bytes
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.copies.acknowledge import SignedCopy, acknowledge, check_copy, claim_on
from dhtstore.node.copies.own_copy import own_claim
from dhtstore.node.identity import Identity
from dhtstore.node.ports import NodeSettings
from dhtstore.params import RECEIPT_VERSION, UNIT_SEEN_MAX
from dhtstore.store.blocks.memory import MemoryBlockStore
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.crypto import SimCrypto
from tests.unit.node.copies_world import new_ledger

BLOCK = b"one block"
ROOT = Cid.of(BLOCK)
UNIT = Unit.of((ROOT,), len(BLOCK))


def identity(name: bytes) -> Identity:
    crypto, clock = SimCrypto(name, name), SimClock(VirtualLoop())
    return Identity(crypto, clock, NodeSettings(), lambda: (Address("10.0.0.1", 7400),))


UPLOADER, HOLDER = identity(b"uploader"), identity(b"holder")
POLICY = UPLOADER.sign_as_owner(Policy(UPLOADER.owner, ROOT.raw, 7, 3, expires=0, removed=False))
STORED = stored_bytes(ROOT, len(BLOCK))
CLAIM = Claim(UNIT.name, (ROOT.raw,), False, len(BLOCK), 1, POLICY, STORED)


def disk_with(*blocks: bytes) -> Disk:
    store = MemoryBlockStore()
    with store.batch() as batch:
        for block in blocks:
            batch.put(Cid.of(block), block)
        batch.commit()
    return Disk(store, InlineBlocking())


def copy_of(disk: Disk) -> SignedCopy:
    async def held() -> SignedCopy:
        return await acknowledge(HOLDER, disk, new_ledger(), await own_claim(disk, UNIT, POLICY))

    return run(held(), VirtualLoop())


def test_a_receipt_states_the_claim_and_who_holds_it() -> None:
    copy = copy_of(disk_with(BLOCK))
    receipt = copy.receipt
    assert (receipt.version, receipt.network) == (RECEIPT_VERSION, "main")
    assert (receipt.node, receipt.public_key) == (HOLDER.node, HOLDER.public_key)
    assert (receipt.unit, receipt.root) == (UNIT.name, ROOT.raw)
    assert (receipt.size, receipt.blocks) == (len(BLOCK), 1)
    assert (receipt.owner, receipt.policy_seq) == (UPLOADER.owner, 7)
    assert copy.provider.key == UNIT.key
    assert copy.contact == HOLDER.record()
    check_copy(UPLOADER, copy, HOLDER.public_key, CLAIM)


def test_the_claim_stands_before_the_receipt_is_signed() -> None:
    disk, ledger = disk_with(BLOCK), new_ledger()
    claim = claim_on(walk_local(disk.store, UNIT, Leaves.READ), POLICY)
    run(acknowledge(HOLDER, disk, ledger, claim), VirtualLoop())
    assert list(ledger.claims.for_unit(UNIT.name)) == [claim]
    ledger.claims.put = never  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk"):
        run(acknowledge(HOLDER, disk, ledger, claim), VirtualLoop())


def never(claim: object) -> bool:
    raise OSError("the disk is gone")


def test_what_is_not_here_is_not_signed_for() -> None:
    with pytest.raises(BlockMissing):
        copy_of(disk_with())


Lie = Callable[[SignedCopy], SignedCopy]


def resigned(copy: SignedCopy, /, **fields: Any) -> SignedCopy:
    return replace(copy, receipt=HOLDER.sign(change(copy.receipt, **fields)))


def forged(signed: Any, /, **fields: Any) -> Any:
    """The same with other fields, and the signature it had."""
    return attach(change(signed, **fields), signed.signature)


LIES: dict[str, Lie] = {
    "another unit": lambda copy: resigned(copy, unit=b"u" * 36),
    "another root": lambda copy: resigned(copy, root=Cid.of(b"x").raw),
    "another owner": lambda copy: resigned(copy, owner=b"o" * 32),
    "an older policy": lambda copy: resigned(copy, policy_seq=1),
    "another network": lambda copy: resigned(copy, network="other"),
    "another version": lambda copy: resigned(copy, version=2),
    "an earlier end": lambda copy: resigned(copy, expires=1_900_000_000),
    "nothing": lambda copy: resigned(copy, size=0, blocks=0),
    "more bytes than there are": lambda copy: resigned(copy, size=2**64 - 1),
    "fewer bytes than there are": lambda copy: resigned(copy, size=len(BLOCK) - 1),
    "less than no blocks": lambda copy: resigned(copy, blocks=-5),
    "another node": lambda copy: resigned(copy, node=b"n" * 20),
    "another key": lambda copy: resigned(copy, public_key=b"k" * 32),
    "no signature": lambda copy: replace(copy, receipt=forged(copy.receipt, size=5)),
    "a provider record of something else": lambda copy: replace(
        copy, provider=HOLDER.sign(change(copy.provider, key=b"p" * 20))
    ),
    "a provider record of somebody else": lambda copy: replace(
        copy, provider=UPLOADER.provider_record(UNIT.key)
    ),
    "a contact record of somebody else": lambda copy: replace(copy, contact=UPLOADER.record()),
    "a contact record that is not signed": lambda copy: replace(
        copy, contact=forged(copy.contact, sequence=5)
    ),
    "a provider record that is not signed": lambda copy: replace(
        copy, provider=forged(copy.provider, sequence=5)
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_receipt_for_something_else_is_not_believed(lie: Lie) -> None:
    copy = lie(copy_of(disk_with(BLOCK)))
    with pytest.raises(InvalidSignature):
        check_copy(UPLOADER, copy, HOLDER.public_key, CLAIM)


def test_a_receipt_of_another_node_than_the_one_connected_to_is_not_believed() -> None:
    copy = copy_of(disk_with(BLOCK))
    with pytest.raises(InvalidSignature, match="something else"):
        check_copy(UPLOADER, copy, PublicKey(b"k" * 32), CLAIM)


@pytest.mark.parametrize("time", [-(2**63), -1, 0, 2**64 - 1])
def test_a_receipt_of_no_time_is_not_believed(time: int) -> None:
    copy = resigned(copy_of(disk_with(BLOCK)), time=time)
    with pytest.raises(ClockOff):
        check_copy(UPLOADER, copy, HOLDER.public_key, CLAIM)


def test_of_a_unit_that_walks_cannot_count_exactly_bounds_are_believed() -> None:
    """They remember UNIT_SEEN_MAX blocks, and count what repeats beyond those again."""
    claim = replace(CLAIM, blocks=UNIT_SEEN_MAX + 9, size_bytes=999)
    copy = resigned(copy_of(disk_with(BLOCK)), blocks=UNIT_SEEN_MAX + 2, size=990)
    check_copy(UPLOADER, copy, HOLDER.public_key, claim)
    for lie in ({"blocks": UNIT_SEEN_MAX - 1}, {"blocks": 2**63}, {"size": -1}, {"size": 2**63}):
        with pytest.raises(InvalidSignature):
            check_copy(UPLOADER, resigned(copy, **lie), HOLDER.public_key, claim)
