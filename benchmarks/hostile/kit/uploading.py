"""The uploader's side of a copy, by hand: an offer, its Replicate, and the blocks as one likes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from benchmarks.hostile.kit.dags import MadeUp
from benchmarks.hostile.kit.stranger import Stranger, read
from dhtstore.errors import PeerRefused
from dhtstore.model.policy import Policy, word_for
from dhtstore.model.signing import sign
from dhtstore.net.ports import Crypto, Stream
from dhtstore.node.links.frame_io import write_frame
from dhtstore.node.links.handshake import ProvedPeer
from dhtstore.wire.frames import (
    Accepted,
    Blocks,
    Declined,
    Frame,
    GetBlocks,
    Held,
    Offer,
    Replicate,
)

Serve = Callable[[Stream, GetBlocks], Awaitable[None]]


@dataclass(slots=True)
class Uploading:
    """One stranger with a session, and the owner in whose name it offers."""

    stranger: Stranger
    stream: Stream
    peer: ProvedPeer
    owner: Crypto
    requests: int = 0

    async def offer(self, made: MadeUp, said_bytes: int, said_blocks: int) -> int:
        """The reservation for a unit that is said to take so much; raises PeerRefused."""
        answer = await self._ask(
            Offer(
                owner=self.owner.owner.public_key,
                key=made.unit.key,
                stored=said_bytes,
                blocks=said_blocks,
                word=self._word(made, said_bytes, said_blocks),
                request=self._next(),
            )
        )
        if isinstance(answer, Accepted):
            return answer.reservation
        raise PeerRefused("refused", repr(answer))

    async def replicate(self, reservation: int, made: MadeUp, serve: Serve) -> Frame:
        """Let the unit be fetched, answered by ``serve``; the final answer."""
        request = Replicate(
            reservation=reservation,
            roots=tuple(root.raw for root in made.unit.roots),
            spine=False,
            size=made.unit.size_bytes,
            policy=self.policy(made).packed,
            request=self._next(),
        )
        await write_frame(self.stream, request)
        return await self._until_final(serve)

    def policy(self, made: MadeUp) -> Policy:
        """The owner's wish for this unit, as if it were a whole DAG."""
        root, now = made.unit.roots[0].raw, int(self.stranger.means.unix_s())
        unsigned = Policy(self.owner.owner.public_key, root, now, 1, 0, removed=False)
        return sign(unsigned, self.stranger.target.network, self.owner.owner)

    def _word(self, made: MadeUp, said_bytes: int, said_blocks: int) -> bytes:
        said = word_for(
            self.stranger.target.network,
            self.peer.public_key,
            self.peer.meeting,
            key=made.unit.key,
            stored=said_bytes,
            blocks=said_blocks,
        )
        return self.owner.owner.sign(said)

    async def _ask(self, request: Offer) -> Frame:
        await write_frame(self.stream, request)
        return await self._until_final(_serve_nothing)

    async def _until_final(self, serve: Serve) -> Frame:
        while True:
            frame, body = await read(self.stream)
            body.release()
            if isinstance(frame, GetBlocks):
                await serve(self.stream, frame)
            elif isinstance(frame, Accepted | Held | Declined):
                return frame

    def _next(self) -> int:
        self.requests += 1
        return self.requests


def honestly(blocks: Mapping[bytes, bytes]) -> Serve:
    """Every block that there is, one a frame."""

    async def serve(stream: Stream, wanted: GetBlocks) -> None:
        missing = []
        for index, cid in enumerate(wanted.cids):
            if (data := blocks.get(cid)) is None:
                missing.append(index)
                continue
            answer = Blocks(indices=(index,), sizes=(len(data),), request=wanted.request)
            await write_frame(stream, answer, data)
        if missing:
            answer = Blocks(indices=(), sizes=(), missing=tuple(missing), request=wanted.request)
            await write_frame(stream, answer)

    return serve


async def _serve_nothing(stream: Stream, wanted: GetBlocks) -> None:
    every = tuple(range(len(wanted.cids)))
    await write_frame(stream, Blocks(indices=(), sizes=(), missing=every, request=wanted.request))
