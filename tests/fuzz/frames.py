"""Mutated frames: through the decoder, within handshakes, and over links to a whole node, which is
asked by strangers and asks a stranger itself, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from benchmarks.hostile.kit.stranger import Stranger, held
from dhtstore.errors import ConnectionLost, DhtstoreError, RemoteProtocolError
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.net.ports import Stream
from dhtstore.node.links.frame_io import read_body, read_message, read_prefix, write_frame
from dhtstore.node.links.handshake import Credentials, admit, greet
from dhtstore.params import KIB, REQUEST_TIMEOUT_S
from dhtstore.transfer.session import Session
from dhtstore.wire.frames import (
    PREFIX,
    Blocks,
    Check,
    Frame,
    FrameRequest,
    GetBlocks,
    Offer,
    Release,
    Reroute,
    decode,
    decode_prefix,
    encode,
)
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from tests.fuzz.findings import Broken, Report
from tests.fuzz.mutator import Mutator
from tests.hostile.whole.arena import SETTLE_S, Arena, play
from tests.hostile.whole.census import hands, more_than, slots
from tests.vectors.generate import FRAMES, body_bytes_of

FRAMES_A_LINK_MAX: Final = 24
BODY_MAX_BYTES: Final = 64 * KIB  # of what really follows
REQUESTS: Final = tuple(each for each in FRAMES if isinstance(each, FrameRequest))
HEADERS: Final = tuple(encode(each, body_bytes_of(each))[PREFIX.size :] for each in FRAMES)


class FrameFuzz:
    """Makes the frames; each stream is a prefix, a header and a body."""

    def __init__(self, report: Report, seed: int) -> None:
        self.report, self.rng = report, random.Random(seed)
        self.mutator = Mutator(self.rng, HEADERS)

    def header(self) -> bytes:
        """Mutated mostly: others must go on between."""
        good = self.rng.choice(HEADERS)
        return good if self.rng.random() < 0.15 else self.mutator.message(good)

    def stream(self, header: bytes) -> bytes:
        """With its prefix, which lies at times, and the body that it promises or one like it."""
        rng = self.rng
        size = rng.choice((0, 0, 0, 0, 0, 0, 1, 7, BODY_MAX_BYTES, 2**31))
        prefix = PREFIX.pack(len(header), size)
        if rng.random() < 0.05:
            prefix = self.mutator.raw(prefix)
        return prefix + header + bytes(size if size <= BODY_MAX_BYTES else 0)


def fuzz_decoder(report: Report, count: int, seed: int) -> None:
    """What decodes is of a known type, and says the same when it is written and read again; what
    does not raises what a link ends by, and sessions judge the rest."""
    fuzz = FrameFuzz(report, seed)

    def take(header: bytes) -> None:
        size = fuzz.rng.choice((0, 7))
        try:
            decode_prefix(fuzz.stream(header)[: PREFIX.size].ljust(PREFIX.size, b"\0"))
            frame = decode(header, size)
            _again(frame, size)
            _judged(frame)
        except RemoteProtocolError as error:
            report.count("refused" if "that is not" in str(error) else "judged")

    for _ in range(count):
        report.feed("frame", fuzz.header(), take)


def _again(frame: Frame, size: int) -> None:
    if type(frame).__struct_config__.tag is not None and len(repr(frame)) < KIB:
        written = encode(frame, size)[PREFIX.size :]
        if encode(decode(written, size), size)[PREFIX.size :] != written:
            raise Broken(f"read back as another: {frame!r}")


def _judged(frame: Frame) -> None:
    session = Session()
    for request in REQUESTS:
        session.open(request)
    session.receive(frame)


# --- handshakes ---------------------------------------------------------------------------------


class CannedStream:
    """Says what it was given to say and then ends; as much of a Stream as a handshake needs."""

    remote, received_bytes = Address("11.0.0.1", 7400), 0
    binding: bytes = bytes(32)

    def __init__(self, said: bytes, remote_key: PublicKey | None) -> None:
        self._said, self.remote_key = said, remote_key

    async def read_exactly(self, count: int) -> bytes:
        taken, self._said = self._said[:count], self._said[count:]
        if len(taken) < count:
            raise ConnectionLost("it ended")
        return taken

    async def read_into(self, target: memoryview) -> None:
        target[:] = await self.read_exactly(len(target))

    async def write(self, *parts: bytes | bytearray | memoryview) -> None:
        """Nobody reads it."""

    async def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """The same."""


def fuzz_handshakes(report: Report, count: int, seed: int) -> None:
    """Either side of a handshake, with two frames of the other: nothing but our own errors."""
    fuzz = FrameFuzz(report, seed)
    here, there = SimCrypto(b"here", b"h"), SimCrypto(b"there", b"t")
    own = Credentials(Network("vectors"), here, None, 1_800_000_000.0)
    entropy = SimEntropy(seed, "handshake")

    def take(said: bytes) -> None:
        greets = fuzz.rng.random() < 0.5
        stream = CannedStream(said, there.node.public_key if greets else None)
        shaking = (greet if greets else admit)(stream, own, entropy)
        try:
            shaking.send(None)  # nothing of it waits
        except StopIteration:
            raise Broken("a handshake without a proof") from None
        except DhtstoreError as error:
            report.count(f"handshake {type(error).__name__}")
        finally:
            shaking.close()

    for _ in range(count // 2):
        said = b"".join(fuzz.stream(fuzz.header())[: 4 * KIB] for _ in range(2))
        report.feed("handshake", said, take)
        report.inputs += 1  # two frames


# --- links --------------------------------------------------------------------------------------


async def fuzz_links(arena: Arena, report: Report, count: int, seed: int) -> None:
    """Strangers send mutated frames over links, each until the node ends it or all were sent.
    Raises Broken where something is left of them, or honest users are served no more."""
    fuzz = FrameFuzz(report, seed)
    root = await arena.put(b"an honest file")
    await asyncio.sleep(SETTLE_S)
    before, places = hands(arena.node), slots(arena.node)
    left = count
    while left > 0:
        frames = min(left, fuzz.rng.randint(1, FRAMES_A_LINK_MAX))
        left -= frames
        stranger = arena.stranger(fuzz.rng.randrange(64))
        try:
            await _speak(fuzz, stranger, frames)
        finally:
            await stranger.close()
    await asyncio.sleep(SETTLE_S)
    if await arena.get(root) != b"an honest file":
        raise Broken("the honest file is another")
    await asyncio.sleep(SETTLE_S)
    if more := more_than(before, hands(arena.node), tolerated=16):
        raise Broken(f"left behind: {more}")
    if slots(arena.node) != places:
        raise Broken(f"taken: {slots(arena.node)}, before {places}")


async def _speak(fuzz: FrameFuzz, stranger: Stranger, frames: int) -> None:
    with suppress(DhtstoreError):
        stream, _ = await stranger.session()
        with held(stream):
            await _send(fuzz, stream, frames)
    fuzz.report.inputs += frames


async def _send(fuzz: FrameFuzz, stream: Stream, frames: int) -> None:
    """The last ones of a link may go to nobody."""
    for _ in range(frames):
        await stream.write(fuzz.stream(fuzz.header()))
    with suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while True:
                await stream.read_exactly(1)


async def fuzz_asked(arena: Arena, report: Report, count: int, seed: int) -> None:
    """The node asks a stranger, which answers by mutated frames: each request ends, by an answer
    or by one of our errors.  Raises what else ends one."""
    fuzz, liar = FrameFuzz(report, seed), arena.stranger(1)
    await liar.open()
    await liar.listen(lambda stream: _lie(fuzz, stream))
    sooner = report.inputs + count
    while report.inputs < sooner:
        with suppress(DhtstoreError, TimeoutError):
            link = await arena.node.links.to(liar.key, [liar.means.endpoint.local], 5.0)
            for request in fuzz.rng.sample(ASKED, len(ASKED)):
                await _ask(link, request)
    await liar.close()
    await asyncio.sleep(SETTLE_S)


async def _ask(link: Any, request: FrameRequest) -> None:
    async with asyncio.timeout(2 * REQUEST_TIMEOUT_S):
        if isinstance(request, GetBlocks):
            cids = [Cid.decode(raw) for raw in request.cids]
            await link.get_blocks(cids, lambda arrival: arrival.lease.release(), _admit)
        else:
            await link.request(request, request.answers[-1])


def _admit(response: Blocks) -> Callable[[], None]:
    return lambda: None


async def _lie(fuzz: FrameFuzz, stream: Stream) -> None:
    while True:
        sizes = await read_prefix(stream)
        asked = await read_message(stream, sizes)
        (await read_body(stream, sizes[1])).release()
        if not isinstance(asked, FrameRequest):
            continue
        fuzz.report.inputs += 1
        if fuzz.rng.random() < 0.4:
            await write_frame(stream, *_good(asked))
        else:
            await stream.write(_mutated(fuzz, asked))


def _good(asked: FrameRequest) -> tuple[Any, ...]:
    kind = asked.answers[-1]
    answer = next(each for each in FRAMES if type(each) is kind)
    answer = msgspec.structs.replace(answer, request=asked.request)
    return (answer, bytes(7)) if isinstance(answer, Blocks) else (answer,)


def _mutated(fuzz: FrameFuzz, asked: FrameRequest) -> bytes:
    """An answer of the right number, mostly of the right kind."""
    kinds = [each for each in FRAMES if isinstance(each, asked.answers)]
    good = msgspec.structs.replace(fuzz.rng.choice(kinds), request=asked.request)
    header = fuzz.mutator.message(encode(good)[PREFIX.size :])
    return fuzz.stream(header)


ASKED: Final[tuple[FrameRequest, ...]] = tuple(
    each for each in REQUESTS if isinstance(each, GetBlocks | Offer | Release | Check | Reroute)
)


def fuzz_frames(count: int, seed: int) -> Report:
    """Half to the decoder, a tenth in handshakes, three tenths over links, and a tenth as
    answers."""
    report = Report()
    for name, run, share in _shares(report, seed):
        before = report.inputs
        try:
            run(int(count * share))
        except Exception as error:
            report.found(name, repr(error), b"")
        report.count(name, report.inputs - before)
    return report


def _shares(report: Report, seed: int) -> Iterator[tuple[str, Callable[[int], object], float]]:
    yield "decoded", lambda count: fuzz_decoder(report, count, seed), 0.5
    yield "in handshakes", lambda count: fuzz_handshakes(report, count, seed), 0.1
    yield "over links", lambda count: _whole(fuzz_links, report, count, seed), 0.3
    yield "as answers", lambda count: _whole(fuzz_asked, report, count, seed), 0.1


def _whole(
    fuzz: Callable[[Arena, Report, int, int], Awaitable[None]],
    report: Report,
    count: int,
    seed: int,
) -> None:
    play(lambda arena: fuzz(arena, report, count, seed))
