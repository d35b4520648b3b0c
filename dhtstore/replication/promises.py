"""What a holder has promised room for and does not hold yet: pure bounds on offers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy, claim_bytes
from dhtstore.model.unit import Unit
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    OFFERS_OPEN_MAX,
    OFFERS_PER_PEER_MAX,
    OFFERS_ROOM_DIVISOR,
    UNIT_OVERHEAD_DIVISOR,
)
from dhtstore.replication.admission import Refusal


@dataclass(frozen=True, slots=True)
class Promise:
    """An offer that was accepted: ``peer`` made it, and may have the unit fetched from it."""

    peer: PublicKey
    unit: Unit
    policy: Policy

    @property
    def claim(self) -> tuple[bytes, bytes]:
        """The unit and the root that it will be claimed for."""
        return self.unit.name, self.policy.root

    @property
    def row_bytes(self) -> int:
        """What its claim will take in the ledger, at most."""
        return claim_bytes((root.raw for root in self.unit.roots), self.policy)

    @property
    def room_bytes(self) -> int:
        """The content, its interior blocks, the store's own overhead and the claim."""
        overhead_bytes = self.unit.size_bytes // UNIT_OVERHEAD_DIVISOR + BLOCK_SIZE_MAX_BYTES
        return self.unit.size_bytes + overhead_bytes + self.row_bytes


def promised_bytes(promises: Iterable[Promise], owner: bytes, *, but: tuple[bytes, bytes]) -> int:
    """What is promised to one owner: the content of each unit once, and the rows of the claims.
    ``but`` (unit, root) leaves that claim and the content of its unit out."""
    own = [each for each in promises if each.policy.owner == owner]
    units = {each.unit.name: each.unit.size_bytes for each in own if each.unit.name != but[0]}
    rows = [each.row_bytes for each in own if each.claim != but]
    return sum(units.values()) + sum(rows)


def too_many(waiting: Collection[Promise], peer: PublicKey) -> Refusal | None:
    """Whether ``peer`` must wait until some of the offers that wait to be used are."""
    of_peer = sum(promise.peer == peer for promise in waiting)
    if len(waiting) >= OFFERS_OPEN_MAX or of_peer >= OFFERS_PER_PEER_MAX:
        return Refusal("busy", "too many offers are open here")
    return None


def too_much(reserved_bytes: int, free_bytes: int) -> Refusal | None:
    """Whether offers reserve more than their share of what is free, their own room included:
    strangers must leave room for the owner's own puts."""
    if reserved_bytes * OFFERS_ROOM_DIVISOR > free_bytes:
        return Refusal("room", "too much of the room that is left here is reserved")
    return None
