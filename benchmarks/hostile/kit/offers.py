"""What a stranger can do who offers units, in the name of as many owners as it likes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from benchmarks.hostile.kit import dags
from benchmarks.hostile.kit.dags import MadeUp
from benchmarks.hostile.kit.field import Field, crowd
from benchmarks.hostile.kit.stranger import Stranger, held
from benchmarks.hostile.kit.uploading import Serve, Uploading, honestly
from dhtstore.errors import PeerRefused
from dhtstore.net.ports import Stream
from dhtstore.params import KIB, MIB, OFFERS_PER_PEER_MAX, STORED_BLOCK_BYTES
from dhtstore.wire.frames import Blocks, GetBlocks, encode

UPLOADERS: Final = 8
HOGS: Final = 64
ORIGINS: Final = 8
TRICKLE_EVERY_S: Final = 0.5
REST_S: Final = 0.3  # between two units of a stranger
SAID_BYTES: Final = 64 * MIB  # of which none ever comes

Make = Callable[[random.Random], MadeUp]
Say = Callable[[MadeUp], tuple[int, int]]  # bytes on disk and blocks, as offered


async def hogging(field: Field) -> None:
    """Large reservations, of which none is ever used."""

    async def work(stranger: Stranger) -> None:
        stream, peer = await stranger.session()
        with held(stream):
            for _ in range(OFFERS_PER_PEER_MAX):
                made = dags.tiny(field.rng)
                upload = Uploading(stranger, stream, peer, field.owner())
                upload.requests = field.rng.randrange(1 << 40)
                with suppress(PeerRefused):
                    await upload.offer(made, SAID_BYTES, SAID_BYTES // MIB)
            await stream.read_exactly(1)

    await crowd(field, HOGS, work, origins=ORIGINS)


async def trickling(field: Field) -> None:
    """Receives that bring a byte at a time."""
    await _uploads(field, dags.plain, _all_of_it, lambda made: _a_byte_at_a_time)


async def longer(field: Field) -> None:
    """Units that are a thousand times what was offered."""
    await _uploads(field, dags.plain, lambda made: (KIB, 1), _served)


async def malformed_at_the_end(field: Field) -> None:
    """Units that are wrong, as their last block shows."""
    await _uploads(field, dags.malformed_at_the_end, _all_of_it, _served)


async def interior(field: Field) -> None:
    """Units that take disk and have no content."""
    await _uploads(field, dags.interior, _all_of_it, _served)


async def abandoned(field: Field) -> None:
    """Receives of which the last block never comes, because the stranger is gone by then."""
    await _uploads(field, dags.plain, _all_of_it, _gone_before_the_end)


async def filling(field: Field) -> None:
    """Units in order, each of another owner: as much disk as strangers may have."""
    await _uploads(field, dags.plain, _all_of_it, _served)


async def dear_blocks(field: Field) -> None:
    """Blocks that take long to decode: of very many links, or fields that nobody knows."""
    makers = (dags.wide_directory, dags.unknown_fields, dags.many_roots)
    made = [make(field.rng) for make in makers for _ in range(2)]
    await _uploads(field, lambda rng: made[rng.randrange(len(made))], _all_of_it, _served)


async def _uploads(field: Field, make: Make, said: Say, serving: Callable[[MadeUp], Serve]) -> None:
    async def work(stranger: Stranger) -> None:
        stream, peer = await stranger.session()
        with held(stream):
            while True:
                made = make(field.rng)
                upload = Uploading(stranger, stream, peer, field.owner())
                upload.requests = field.rng.randrange(1 << 40)
                with suppress(PeerRefused):
                    number = await upload.offer(made, *said(made))
                    await upload.replicate(number, made, serving(made))
                await asyncio.sleep(REST_S)

    await crowd(field, UPLOADERS, work, origins=ORIGINS)


def _all_of_it(made: MadeUp) -> tuple[int, int]:
    if made.blocks:
        return made.stored_bytes, len(made.blocks)
    roots = len(made.unit.roots)
    return 2 * STORED_BLOCK_BYTES * roots, roots


def _served(made: MadeUp) -> Serve:
    return honestly(made.blocks)


def _gone_before_the_end(made: MadeUp) -> Serve:
    left = len(made.blocks) - 1

    async def serve(stream: Stream, wanted: GetBlocks) -> None:
        nonlocal left
        left -= len(wanted.cids)
        if left <= 0:
            stream.abort()
        else:
            await honestly(made.blocks)(stream, wanted)

    return serve


async def _a_byte_at_a_time(stream: Stream, wanted: GetBlocks) -> None:
    size_bytes = dags.LEAF_BYTES
    answer = Blocks(indices=(0,), sizes=(size_bytes,), request=wanted.request)
    await stream.write(encode(answer, size_bytes))
    while True:
        await stream.write(b"\0")
        await asyncio.sleep(TRICKLE_EVERY_S)
