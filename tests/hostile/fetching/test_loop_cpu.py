"""No block and no frame of a peer holds the event loop above 20 ms of CPU time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from dhtstore.content.codec import dagpb
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.looking.resolve import stat
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.walk import Output
from dhtstore.errors import DhtstoreError, MalformedDag
from dhtstore.model.cid import DAG_PB, RAW, Cid
from dhtstore.model.unit import Unit
from dhtstore.node.context import Disk
from dhtstore.node.fetching.delivery import Delivery
from dhtstore.node.fetching.search import FixedHolders
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.links.link import Link
from dhtstore.params import (
    FRAME_HEADER_MAX_BYTES,
    HANDSHAKE_FRAME_MAX_BYTES,
    REASON_MAX_CHARS,
    REFUSAL_CODE_MAX_CHARS,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.transfer.in_order import InOrder
from dhtstore.transfer.session import Session
from dhtstore.wire.frames import (
    PREFIX,
    Blocks,
    Declined,
    GetBlocks,
    Refused,
    decode,
    encode,
)
from tests.hostile.fetching.held_loop import HELD_S_MAX, watched
from tests.hostile.fetching.worst_blocks import WORST_BLOCKS, inlined
from tests.integration.test_data_plane import Machine, machine

ATTEMPTS = 3  # the shortest counts: what else this process does is chance

Use = Callable[[FetchSession, Cid], Awaitable[object]]


async def drop(outputs: list[Output]) -> None:
    """A sink that never waits."""


async def as_tree(session: FetchSession, root: Cid) -> None:
    await session.fetch(TreeWalk(root), Delivery(drop), timeout_s=1.0)


async def as_listing(session: FetchSession, root: Cid) -> None:
    await session.fetch(ListWalk(root), Delivery(drop), timeout_s=1.0)


async def as_file(session: FetchSession, root: Cid) -> None:
    await session.fetch(FileWalk(root), Delivery(drop, in_order=InOrder()), timeout_s=1.0)


async def as_unit(session: FetchSession, root: Cid) -> None:
    kept = Delivery(keep=lambda blocks: None)
    await session.fetch(UnitWalk(Unit.of((root,), 0)), kept, timeout_s=1.0)


USES: dict[str, Use] = {
    "get": as_tree,
    "read": as_file,
    "hold": as_unit,
    "path": lambda session, root: session.resolve(root, ["name", "below"]),
    "ls": as_listing,
    "stat": lambda session, root: session.ask(stat(root)),
    "units": lambda session, root: session.units(root),
}


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Machine, Machine]]:
    async with machine() as here, machine() as there:
        yield here, there


async def held_by(use: Use, link: Link, disk: Disk, root: Cid) -> tuple[float, str]:
    """How long what comes of one block, and of looking for what it links to, holds the loop."""
    with watched() as held:
        async with FetchSession(disk, FixedHolders([link])) as session:
            with suppress(DhtstoreError):
                await use(session, root)
    return held.longest_s, held.what


@pytest.fixture
def workers_decode_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker has decoded needs no time again; on a loop all of it is done each time."""
    known: dict[bytes, tuple[list[DagLink], bytes] | MalformedDag] = {}
    real = dagpb.decode

    def decode(block: bytes | memoryview) -> tuple[list[DagLink], bytes]:
        if asyncio.events._get_running_loop() is not None:
            return real(block)
        raw = bytes(block)
        if raw not in known:
            try:
                known[raw] = real(raw)
            except MalformedDag as error:
                known[raw] = error
        found = known[raw]
        if isinstance(found, MalformedDag):
            raise MalformedDag(str(found))
        return list(found[0]), found[1]

    monkeypatch.setattr(dagpb, "decode", decode)


@pytest.mark.usefixtures("workers_decode_once")
@pytest.mark.parametrize("name", WORST_BLOCKS)
async def test_no_block_holds_the_loop_whatever_it_is_fetched_for(name: str) -> None:
    block = WORST_BLOCKS[name]()
    root = Cid.of(block, DAG_PB)
    async with two() as (here, there):
        with there.store.batch() as batch:
            batch.put(root, block)
            batch.commit()
        link, disk = await here.to(there), Disk(here.store, here.blocking)
        for wanted, use in USES.items():
            found: list[tuple[float, str]] = []
            while len(found) < ATTEMPTS and (not found or min(found)[0] > HELD_S_MAX):
                found.append(await held_by(use, link, disk, root))
            assert min(found)[0] <= HELD_S_MAX, (wanted, min(found))


def worst_cids() -> list[Cid]:
    """Such as are long, and such as nobody has."""
    long = [inlined(bytes([number]) * 127) for number in range(WANTS_PER_REQUEST_MAX // 2)]
    hashes = [Cid(bytes((1, RAW, 0x13, 64)) + bytes([number]) * 64) for number in range(64)]
    return [*long, *hashes][:WANTS_PER_REQUEST_MAX]


async def test_no_request_for_blocks_holds_the_loop_of_who_serves() -> None:
    async with two() as (here, there):
        link = await here.to(there)
        wanted = GetBlocks(cids=tuple(cid.raw for cid in worst_cids()))
        with watched() as held, suppress(DhtstoreError):
            await link.request(wanted, Blocks)
    assert held.longest_s <= HELD_S_MAX, held


def worst_headers() -> dict[str, bytes]:
    """Headers of frames: known ones of the longest strings, and of later versions, deep or wide."""
    all_of_it = FRAME_HEADER_MAX_BYTES - 16
    pack = msgspec.msgpack.encode
    named = tuple(range(WANTS_PER_REQUEST_MAX))
    code, reason = "\u20ac" * REFUSAL_CODE_MAX_CHARS, "\u20ac" * REASON_MAX_CHARS
    return {
        "declined": encode(Declined(code=code, reason=reason))[PREFIX.size :],
        "refused": encode(Refused(code, reason))[PREFIX.size :],
        "blocks": encode(Blocks(indices=(), sizes=(), missing=named))[PREFIX.size :],
        "wide": pack([0x6F, *[[]] * all_of_it]),
        "wide and known": pack([0x35, 1, "c", "r", *[{}] * all_of_it]),
        "wide indices": pack([0x30, 1, [0] * (all_of_it - 9), [], []]),
        "map": pack({number: number for number in range(all_of_it // 8)}),
        "deep": b"\x92\x6f" + b"\x91" * all_of_it,
        "deep request": b"\x93\x2f\x01" + b"\x91" * all_of_it,
        "long string": pack([0x35, 1, "c" * all_of_it, "r"]),
        "not UTF-8": pack([0x35, 1, b"\xff" * all_of_it]),
        "cids": pack([0x10, 1, [b"\x01\x55\x00\x00"] * (all_of_it // 6)]),
        "extension": b"\x92\x6f\xc9" + (all_of_it).to_bytes(4, "big") + b"\1" + bytes(all_of_it),
        "handshake": pack([0x01, 1, 1, b"n" * 32, ["f" * 16] * (HANDSHAKE_FRAME_MAX_BYTES // 18)]),
    }


@pytest.mark.parametrize("name", worst_headers())
def test_no_header_of_a_frame_takes_long_to_read(name: str) -> None:
    header, took_s = worst_headers()[name][:FRAME_HEADER_MAX_BYTES], []
    for _ in range(ATTEMPTS):
        started_s = time.thread_time()
        with suppress(DhtstoreError):
            frame = decode(header, 0)
            Session().receive(frame)
            repr(frame)
        took_s.append(time.thread_time() - started_s)
    assert min(took_s) <= HELD_S_MAX
