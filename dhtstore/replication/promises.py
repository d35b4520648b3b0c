"""What a holder has promised room for and does not hold yet: pure bounds on offers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from dhtstore.config import format_size
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.policy import Usage
from dhtstore.params import (
    CLAIM_ROW_BYTES,
    GRANT_MAX_BYTES,
    OFFERS_OPEN_MAX,
    OFFERS_ORIGIN_ROOM_DIVISOR,
    OFFERS_PER_ORIGIN_MAX,
    OFFERS_PER_PEER_MAX,
    POLICY_MAX_BYTES,
    PROMISE_SLACK_BYTES,
)
from dhtstore.replication.admission import Demand, Refusal


@dataclass(frozen=True, slots=True)
class Promise:
    """An offer that was accepted: ``peer`` made it from ``origin`` for ``owner``, and may have the
    unit behind ``key`` fetched from it.  ``new`` is whether the owner is a newcomer here,
    ``at_home`` whether the origin is our own site, ``own`` whether the owner is this node's own and
    offers it itself: then it takes no place of others.  ``granted`` is whether somebody else offers
    it, by the owner's grant."""

    peer: PublicKey
    origin: str
    owner: PublicKey
    key: DhtKey
    stored_bytes: int
    blocks: int
    new: bool = True
    at_home: bool = False
    own: bool = False
    granted: bool = False

    @property
    def row_bytes(self) -> int:
        """What its claim takes in the ledger, but for the names of its roots, which only its
        Replicate tells: ``judge`` counts them then."""
        return CLAIM_ROW_BYTES + 2 * POLICY_MAX_BYTES + GRANT_MAX_BYTES

    @property
    def room_bytes(self) -> int:
        """The blocks as they are stored, the claim, and what packs and pages add to a unit."""
        return self.stored_bytes + self.row_bytes + PROMISE_SLACK_BYTES

    @property
    def demand(self) -> Demand:
        """What was offered, to be judged."""
        return Demand(
            self.owner,
            self.origin,
            self.stored_bytes,
            self.blocks,
            self.row_bytes,
            self.at_home,
            granted=self.granted,
        )


def with_promised(usage: Usage, promises: Iterable[Promise], one: Promise) -> Usage:
    """``usage`` and what is promised beside ``one``: a share must not be split over many offers.
    What is promised to an owner of one unit counts once, and not where ``one`` is of that unit."""
    unit = (one.owner, one.key)
    others = [each for each in promises if (each.owner, each.key) != unit]
    of_owner = (each for each in others if each.owner == one.owner)
    of_origin = [each for each in others if each.origin == one.origin]
    of_new = [each for each in others if each.new]
    return replace(
        usage,
        owner_bytes=usage.owner_bytes + _charged_bytes(of_owner),
        origin_bytes=usage.origin_bytes + _charged_bytes(of_origin),
        newcomers_bytes=usage.newcomers_bytes + _charged_bytes(of_new),
        units=usage.units + _units(others),
        origin_units=usage.origin_units + _units(of_origin),
        newcomers_units=usage.newcomers_units + _units(of_new),
    )


def _units(promises: Iterable[Promise]) -> int:
    """Of other owners than this node's own."""
    return len({(each.owner, each.key) for each in promises if not each.own})


def _charged_bytes(promises: Iterable[Promise]) -> int:
    units: dict[tuple[PublicKey, DhtKey], int] = {}
    for each in promises:
        unit, charged_bytes = (each.owner, each.key), each.demand.charged_bytes
        units[unit] = max(charged_bytes, units.get(unit, 0))
    return sum(units.values())


def too_many(promises: Collection[Promise], one: Promise) -> Refusal | None:
    """Whether whoever offers ``one`` must wait until some of its promises are kept or over.  Our
    own work is not counted and always finds a place."""
    if one.own:
        return None
    others = [each for each in promises if not each.own]
    of_peer = sum(each.peer == one.peer for each in others)
    of_origin = 0 if one.at_home else sum(each.origin == one.origin for each in others)
    if of_peer >= OFFERS_PER_PEER_MAX or of_origin >= OFFERS_PER_ORIGIN_MAX:
        return Refusal("busy", "too many offers of yours are open here")
    if len(others) >= OFFERS_OPEN_MAX:
        return Refusal("busy", "too many offers are open here")
    return None


def too_much(promises: Iterable[Promise], one: Promise, free_bytes: int) -> Refusal | None:
    """Whether with ``one``, which is not among ``promises``, its origin would reserve more than its
    share of ``free_bytes``, in which nothing of offers is counted.  An offer costs nothing, so an
    origin that has some open must leave room for others; a single one may be as large as it is.
    What this node's own puts need is not lost by that: open offers give way to them."""
    of_origin = [each.room_bytes for each in promises if each.origin == one.origin]
    if one.own or one.at_home or not of_origin:
        return None
    reserved_bytes = sum(of_origin)
    if (reserved_bytes + one.room_bytes) * OFFERS_ORIGIN_ROOM_DIVISOR <= free_bytes:
        return None
    told, free = format_size(reserved_bytes), format_size(free_bytes)
    return Refusal(
        "room",
        f"open offers from the network this comes from have reserved {told} of the {free} that are"
        " left here: try again when they are over, in a minute or two",
    )


def crowd(promises: Iterable[Promise]) -> Mapping[str, int]:
    """How many each origin has, without our own work."""
    return Counter(each.origin for each in promises if not each.own)
