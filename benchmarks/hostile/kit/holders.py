"""What a node can do that says it holds what others look for, and one that answers lookups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from benchmarks.hostile.kit.datagrams import provides
from benchmarks.hostile.kit.field import Field, crowd
from benchmarks.hostile.kit.stranger import A_DAY_S, Stranger, Target, read
from dhtstore.model.contact import Contact
from dhtstore.model.identity import PublicKey, dht_key
from dhtstore.net.ports import Stream
from dhtstore.node.links.frame_io import write_frame
from dhtstore.params import MIB, NODE_ID_BYTES, PUBLIC_KEY_BYTES, K
from dhtstore.wire import envelope
from dhtstore.wire.datagram import (
    CONTACT_V4_BYTES,
    PAYLOAD_MAX_BYTES,
    FindContact,
    FindNode,
    FoundContact,
    FoundNodes,
    GetProviders,
    Ping,
    Pong,
    Providers,
    Request,
    Response,
    pack_contact,
)
from dhtstore.wire.frames import Blocks, Declined, GetBlocks, Replicating, encode

LIARS: Final = 24  # they stand in no table: what they provide is their lie
IN_TABLES: Final = K // 2  # more than K would be an eclipse: out of scope
ORIGINS: Final = 24
TELL_EVERY_S: Final = 0.2
SHORT_LIFE_S: Final = 1.0
TRICKLE_EVERY_S: Final = 0.5
NAMED: Final = (PAYLOAD_MAX_BYTES - 64) // CONTACT_V4_BYTES  # contacts that an answer has room for


async def liars(field: Field) -> None:
    """Provide what honest users put, and answer with wrong bytes, a byte now and then, or only
    with progress."""

    async def work(stranger: Stranger) -> None:
        await stranger.open()
        lie = LIES[field.rng.randrange(len(LIES))]

        async def serve(stream: Stream) -> None:
            while True:
                frame, _ = await read(stream)
                if isinstance(frame, GetBlocks):
                    await lie(stream, frame)

        await stranger.listen(serve)
        while True:
            for root in [*field.known()][-2:]:
                for index in _everybody(field):
                    stranger.ask(provides(stranger, dht_key(root.raw)), index)
            await asyncio.sleep(TELL_EVERY_S)

    await crowd(field, LIARS, work, origins=ORIGINS)


async def introductions(field: Field) -> None:
    """Stand in all tables, and answer every lookup with keys that nobody has, all of them at the
    target's address."""

    async def work(stranger: Stranger) -> None:
        stranger.answer = _naming(field)
        await _stand_in_tables(field, stranger, A_DAY_S)

    await crowd(field, IN_TABLES, work, origins=IN_TABLES)


async def silent_to_lookups(field: Field) -> None:
    """Stand in all tables, answer pings, and let lookups wait."""

    async def work(stranger: Stranger) -> None:
        await _stand_in_tables(field, stranger, A_DAY_S)

    await crowd(field, IN_TABLES, work, origins=IN_TABLES)


async def short_lived(field: Field) -> None:
    """Stand in all tables and be gone, under another key each time."""

    async def work(stranger: Stranger) -> None:
        await _stand_in_tables(field, stranger, SHORT_LIFE_S)

    await crowd(field, IN_TABLES, work, origins=ORIGINS)


async def _stand_in_tables(field: Field, stranger: Stranger, for_s: float) -> None:
    stranger.flags = envelope.STORAGE
    await stranger.open()
    with suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            while True:
                for node in _everybody(field):
                    stranger.ask(FindNode(field.rng.randbytes(NODE_ID_BYTES)), node)
                await asyncio.sleep(TELL_EVERY_S)


async def _wrong_bytes(stream: Stream, frame: GetBlocks) -> None:
    sizes = tuple(MIB for _ in frame.cids[:2])
    answer = Blocks(
        indices=tuple(range(len(sizes))),
        sizes=sizes,
        missing=tuple(range(len(sizes), len(frame.cids))),
        request=frame.request,
    )
    await write_frame(stream, answer, bytes(sum(sizes)))


async def _trickle(stream: Stream, frame: GetBlocks) -> None:
    answer = Blocks(indices=(0,), sizes=(MIB,), request=frame.request)
    await stream.write(encode(answer, MIB))
    while True:
        await stream.write(b"\0")
        await asyncio.sleep(TRICKLE_EVERY_S)


async def _only_progress(stream: Stream, frame: GetBlocks) -> None:
    while True:
        await write_frame(stream, Replicating(held_bytes=0, request=frame.request))
        await asyncio.sleep(TRICKLE_EVERY_S)


async def _none(stream: Stream, frame: GetBlocks) -> None:
    await asyncio.sleep(TRICKLE_EVERY_S)
    await write_frame(stream, Declined(code="busy", reason="later", request=frame.request))


LIES: Final = (_wrong_bytes, _trickle, _only_progress, _none)


def _everybody(field: Field) -> list[Target]:
    return [field.target] if field.user is None else [field.target, field.user]


def _naming(field: Field) -> Callable[[Request], Response | None]:
    def answer(request: Request) -> Response | None:
        if isinstance(request, Ping):
            return Pong(bytes(6))
        named = b"".join(_contact(field) for _ in range(NAMED))
        if isinstance(request, FindNode):
            return FoundNodes(named)
        if isinstance(request, GetProviders):
            return Providers(0, [], named)
        return FoundContact(None, named) if isinstance(request, FindContact) else None

    return answer


def _contact(field: Field) -> bytes:
    key = PublicKey(field.rng.randbytes(PUBLIC_KEY_BYTES))
    return pack_contact(Contact.of(key, field.target.address, storage=True))
