"""What anybody can do who can send datagrams, from any source and under any key."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.hostile.kit.field import Field, crowd
from benchmarks.hostile.kit.stranger import A_DAY_S, Stranger
from dhtstore.model.identity import PublicKey, dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import sign
from dhtstore.params import DATAGRAM_MAX_BYTES, FIRST_REQUEST_PADDED_BYTES, NODE_ID_BYTES
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import AddProvider, FindNode

BURST: Final = 16  # datagrams in one go
PAUSE_S: Final = 0.005  # between two bursts of a stranger
FLOODERS: Final = 4
KEYS: Final = 96  # strangers that tell of more than 64 providers of one key
ORIGINS: Final = 64


async def garbage(field: Field) -> None:
    """Bytes of any length, half of them with the right network in front."""

    async def work(stranger: Stranger) -> None:
        await stranger.open()
        prefix = field.target.network.datagram_prefix
        while True:
            for number in range(BURST):
                size = field.rng.randrange(1, DATAGRAM_MAX_BYTES - len(prefix))
                stranger.send((prefix if number % 2 else b"") + field.rng.randbytes(size))
            await asyncio.sleep(PAUSE_S)

    await crowd(field, FLOODERS, work, origins=FLOODERS)


async def fresh_keys(field: Field) -> None:
    """Requests that look valid, each under a key nobody has: the target must agree on one to find
    out.  Sources do not matter: all of it could be spoofed."""

    async def work(stranger: Stranger) -> None:
        await stranger.open()
        while True:
            for _ in range(BURST):
                stranger.send(_forged(field))
            await asyncio.sleep(PAUSE_S)

    await crowd(field, FLOODERS, work, origins=FLOODERS)


async def cookies(field: Field) -> None:
    """Real requests from many prefixes, under a new key as soon as a cookie came."""

    async def work(stranger: Stranger) -> None:
        await stranger.open()
        for _ in range(BURST):
            stranger.ask(FindNode(field.rng.randbytes(NODE_ID_BYTES)))
            await asyncio.sleep(PAUSE_S)

    await crowd(field, ORIGINS, work, origins=ORIGINS)


async def one_key_full(field: Field) -> None:
    """More providers of what honest users put than a key can have, all of them reachable."""

    async def work(stranger: Stranger) -> None:
        await stranger.open()
        while True:
            for root in [*field.known()][-2:]:
                stranger.ask(provides(stranger, dht_key(root.raw)))
            await asyncio.sleep(0.5)

    await crowd(field, KEYS, work, origins=ORIGINS)


async def store_full(field: Field) -> None:
    """Records under keys of no unit, as many as go."""

    async def work(stranger: Stranger) -> None:
        await stranger.open()
        while True:
            for _ in range(BURST):
                stranger.ask(provides(stranger, field.rng.randbytes(NODE_ID_BYTES)))
            await asyncio.sleep(FLOODERS * PAUSE_S)

    await crowd(field, 2 * FLOODERS, work, origins=2 * FLOODERS)


def _forged(field: Field) -> bytes:
    rng = field.rng
    message_id = rng.randbytes(envelope.MESSAGE_ID_BYTES)
    frame = datagram.encode_request(message_id, FindNode(rng.randbytes(NODE_ID_BYTES)))
    header = envelope.header_of(field.target.network, 0, PublicKey(rng.randbytes(32)))
    body = rng.randbytes(envelope.MAC_BYTES) + len(frame).to_bytes(2, "big") + frame
    return (header + body).ljust(FIRST_REQUEST_PADDED_BYTES, b"\0")


def provides(stranger: Stranger, key: bytes) -> AddProvider:
    """A record of this stranger, signed and in time."""
    now = int(stranger.means.unix_s())
    unsigned = ProviderRecord(key, stranger.key, now, now, now + A_DAY_S)
    record = sign(unsigned, stranger.target.network, stranger.means.crypto.node)
    return AddProvider(record.packed, stranger.record().packed)
