"""How much room is here, for whom: warnings, and what ``status`` tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dhtstore.errors import HomeUnusable
from dhtstore.model.contact import Address
from dhtstore.model.policy import Holdings
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.warnings import Warnings
from dhtstore.operations.nodes import RoomShare, RoomStatus
from dhtstore.params import BLOCK_SIZE_MAX_BYTES, NEWCOMERS_DIVISOR, ORIGIN_DIVISOR
from dhtstore.replication.admission import Accept, Admission, is_at_home
from dhtstore.replication.donating import Donation
from dhtstore.store.blocks.contract import BlockStore


async def look_for_room(disk: Disk, warnings: Warnings) -> None:
    """Warn while not one more block can be stored, and while more is promised than there is."""
    with warnings.tolerated("room", "no room here for one block more, what is held is served"):
        await disk.blocking.run(_take_and_give_back, disk.store)
    with warnings.tolerated("disk", "how full the disk is cannot be told"):
        space = await disk.blocking.run(disk.store.space)
        if space.overpromised:
            warnings.tell("promised", space.overpromised)
        else:
            warnings.over("promised")


@dataclass(frozen=True, slots=True)
class Giving:
    """What an operator has chosen to give, to whom, and to one foreign owner at most; by what
    ``rule`` offers are judged, None on a client.  The site of its ``own`` addresses has no
    share."""

    accept: str
    capacity_bytes: int
    owner_limit_bytes: int
    rule: Admission | None = None
    own: Sequence[Address] = ()


async def room_status(
    disk: Disk, ledger: Ledger, giving: Giving, now_unix_s: float
) -> RoomStatus | None:
    """None where the disk does not answer, which is warned of."""
    with suppress(HomeUnusable):
        return await disk.blocking.run(_room_now, disk, ledger, giving, now_unix_s)
    return None


def _room_now(disk: Disk, ledger: Ledger, giving: Giving, now_unix_s: float) -> RoomStatus:
    space, held = disk.store.space(), ledger.claims.holdings(now_unix_s)
    claimed_bytes = held.own_bytes + held.others_bytes
    donation = _donation(disk, ledger, giving.rule)
    return RoomStatus(
        accept=giving.accept,
        own=held.own_bytes,
        others=held.others_bytes,
        reserved=space.reserved_bytes,
        unclaimed=max(0, space.packs_bytes - claimed_bytes),
        free=space.free_bytes,
        disk_free=space.disk_free_bytes,
        promised=space.beside_bytes,
        shares=_shares(giving, held) if giving.accept == Accept.ANYONE else [],
        cache=ledger.cache.size_bytes(),
        disk_reserve=space.disk_reserve_bytes,
        packs=space.packs_bytes,
        index=space.index_bytes,
        aside=space.aside_bytes,
        donated=donation.total_bytes,
        donated_used=donation.used_bytes,
    )


def _donation(disk: Disk, ledger: Ledger, rule: Admission | None) -> Donation:
    if rule is None:
        return Donation(0, 0)
    beside_bytes = ledger.claims.ledger_bytes() - ledger.cache.size_bytes()
    return Donation.of(rule, disk.store.used_bytes + beside_bytes)


def _shares(giving: Giving, held: Holdings) -> list[RoomShare]:
    capacity_bytes = giving.capacity_bytes
    if not capacity_bytes:
        return []
    origin, origin_bytes = _largest_bounded(held.origins_bytes, giving.own)
    return [
        RoomShare("newcomers", held.newcomers_bytes, capacity_bytes // NEWCOMERS_DIVISOR),
        RoomShare("owner", held.largest_owner_bytes, giving.owner_limit_bytes),
        RoomShare("origin", origin_bytes, capacity_bytes // ORIGIN_DIVISOR, origin),
    ]


def _largest_bounded(origins_bytes: Mapping[str, int], own: Sequence[Address]) -> tuple[str, int]:
    """The origin that has most of those that have a share, and how much; ("", 0) without any."""
    bounded = [
        (size_bytes, origin)
        for origin, size_bytes in origins_bytes.items()
        if not is_at_home(Address(origin.partition("/")[0], 0), own)
    ]
    most_bytes, most = max(bounded, default=(0, ""))
    return most, most_bytes


def _take_and_give_back(store: BlockStore) -> None:
    store.reserve(BLOCK_SIZE_MAX_BYTES).release()
