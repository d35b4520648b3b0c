"""What anybody can do who can connect, with proof of a key or without."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import Final

from benchmarks.hostile.kit.field import Field, Wire, crowd
from benchmarks.hostile.kit.stranger import Stranger, held, read
from dhtstore.errors import UsageError
from dhtstore.node.links.frame_io import write_frame
from dhtstore.tasks import Supervisor, tell_the_loop
from dhtstore.wire.frames import GetBlocks, Release

CONNECTIONS: Final = 640  # more than CONNECTIONS_MAX and those in a handshake
FEW_ORIGINS: Final = 4
ASK_EVERY_S: Final = 1.0
# The beginning of a TLS record that promises a ClientHello of 512 bytes (RFC 8446 section 5.1).
HALF_HELLO: Final = bytes.fromhex("1603010200010001fc0303")


async def bare(field: Field) -> None:
    """TCP connections on which nothing is ever said."""
    await _wires(field, b"", trickle=False)


async def half_tls(field: Field) -> None:
    """The beginning of a handshake, and a byte a second of the rest."""
    await _wires(field, HALF_HELLO, trickle=True)


async def silent(field: Field) -> None:
    """TLS, and then no word of our own handshake."""

    async def work(stranger: Stranger) -> None:
        with held(await stranger.dial()) as stream:
            await read(stream)  # its Hello
            await stream.read_exactly(1)

    await crowd(field, CONNECTIONS // 4, work, origins=FEW_ORIGINS)


async def idle(field: Field) -> None:
    """Whole handshakes, each under a key of its own, and no request."""

    async def work(stranger: Stranger) -> None:
        stream, _ = await stranger.session()
        with held(stream):
            await stream.read_exactly(1)

    await crowd(field, CONNECTIONS, work, origins=FEW_ORIGINS)


async def busy(field: Field) -> None:
    """Whole handshakes, each kept in use by something small that is asked again and again."""

    async def work(stranger: Stranger) -> None:
        stream, _ = await stranger.session()
        with held(stream):
            number = 0
            while True:
                number += 2
                await write_frame(stream, Release(reservation=1, request=number))
                wanted = tuple(root.raw for root in [*field.known()][-1:])
                if wanted:
                    await write_frame(stream, GetBlocks(cids=wanted, request=number + 1))
                await asyncio.sleep(ASK_EVERY_S)

    await crowd(field, CONNECTIONS, work, origins=FEW_ORIGINS)


async def _wires(field: Field, greeting: bytes, *, trickle: bool) -> None:
    crew = Supervisor(on_failure=tell_the_loop)
    try:
        for number in range(CONNECTIONS):
            crew.spawn(_held(field, number % FEW_ORIGINS, greeting, trickle), "connection")
        await asyncio.Event().wait()
    finally:
        await crew.close()


async def _held(field: Field, origin: int, greeting: bytes, trickle: bool) -> None:
    if field.connect is None:
        raise UsageError("bare connections need real sockets")
    while True:
        with suppress(OSError):
            await _hold(await field.connect(origin), greeting, trickle)
        await asyncio.sleep(ASK_EVERY_S)


async def _hold(wire: Wire, greeting: bytes, trickle: bool) -> None:
    reader, writer = wire
    with closing(writer):
        writer.write(greeting)
        while trickle and not reader.at_eof():
            writer.write(b"\0")
            await writer.drain()
            await asyncio.sleep(ASK_EVERY_S)
        await reader.read()
