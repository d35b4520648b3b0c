"""What a node tells of its room: whose the bytes are, and how much of each share is used."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Claim, Policy
from dhtstore.model.signing import attach
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.views.room import Giving, room_status
from dhtstore.operations.nodes import RoomShare, RoomStatus
from dhtstore.store.blocks.memory import MemoryBlockStore
from dhtstore.store.ledger.memory import MemoryKeyValue
from dhtstore.trace import no_trace

OWN, FRIEND, STRANGER = (PublicKey(bytes((number,)) * 32) for number in (1, 2, 3))
NOW_UNIX_S = 1_800_000_000


def claim(owner: bytes, stored_bytes: int, origin: str) -> Claim:
    root = b"\x01\x55\x12\x20" + owner
    policy = attach(Policy(owner, root, 1, 3, 0, False), b"s" * 64)
    return Claim(owner, (root,), False, stored_bytes, 1, policy, stored_bytes, origin)


def told(giving: Giving, friends_origin: str = "192.0.2.0/24") -> RoomStatus:
    ledger = Ledger.of(MemoryKeyValue(), no_trace, OWN)
    for each, since in (
        (claim(OWN, 10**6, ""), None),
        (claim(FRIEND, 3 * 10**6, friends_origin), None),
        (claim(STRANGER, 2 * 10**6, "198.51.100.0/24"), NOW_UNIX_S),
    ):
        if since is not None:
            ledger.claims.begin(each, since)
        ledger.claims.put(each)
    store = MemoryBlockStore(10**8)
    store.reserve(4 * 10**6)

    async def ask() -> RoomStatus | None:
        blocking = ThreadBlocking()
        try:
            return await room_status(Disk(store, blocking), ledger, giving, NOW_UNIX_S)
        finally:
            await blocking.close()

    status = asyncio.run(ask())
    assert status is not None
    return status


def test_bytes_are_told_by_whose_they_are() -> None:
    room = told(Giving("network", 10**8, 10**8))
    rows_bytes = room.own - 10**6
    assert 0 < rows_bytes < 4096
    assert room.others == 5 * 10**6 + 2 * rows_bytes
    assert (room.reserved, room.free, room.disk_free, room.shares) == (
        4 * 10**6,
        96 * 10**6,
        None,
        [],
    )


def test_shares_are_told_with_their_limits() -> None:
    room = told(Giving("anyone", 10**8, 5 * 10**7))
    rows_bytes = room.own - 10**6
    assert room.shares == [
        RoomShare("newcomers", 2 * 10**6 + rows_bytes, 5 * 10**7),
        RoomShare("owner", 3 * 10**6 + rows_bytes, 5 * 10**7),
        RoomShare("origin", 3 * 10**6 + rows_bytes, 25 * 10**6, "192.0.2.0/24"),
    ]


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("127.0.0.0/24", []),
        ("203.0.112.0/24", [Address("203.0.112.7", 7401)]),
        ("10.1.2.0/24", [Address("203.0.112.7", 7401), Address("192.168.0.7", 7401)]),
    ],
)
def test_the_own_site_which_has_no_share_is_not_told_as_the_largest_origin(
    origin: str, own: list[Address]
) -> None:
    stranger = "198.51.100.0/24"
    room = told(Giving("anyone", 10**8, 5 * 10**7, own=own), origin)
    rows_bytes = room.own - 10**6
    told_as = (0, "") if len(own) == 2 else (2 * 10**6 + rows_bytes, stranger)
    assert (room.shares[-1].used, room.shares[-1].name) == told_as
