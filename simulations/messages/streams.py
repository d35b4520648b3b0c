"""Questions over streams: dials, handshakes, and requests by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address
from dhtstore.wire import frames
from simulations.messages.exchange import STREAM, Exchange
from simulations.messages.wording import requested, responded

HANDSHAKE = "handshake"
_SHAKING = -1  # the number of the handshake among a stream's requests


class FrameReader:
    """Frames from pieces of a stream; bodies are passed over.  ``lost`` once nothing that follows
    can be understood."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body_left = 0
        self.lost = False

    def feed(self, data: bytes) -> list[frames.Frame]:
        """What is whole now."""
        found: list[frames.Frame] = []
        self._buffer += data
        while not self.lost and self._skip_body():
            size = frames.PREFIX.size
            if len(self._buffer) < size:
                break
            try:
                header_bytes, body_bytes = frames.decode_prefix(bytes(self._buffer[:size]))
                if len(self._buffer) < size + header_bytes:
                    break
                header = bytes(self._buffer[size : size + header_bytes])
                found.append(frames.decode(header, body_bytes))
            except RemoteProtocolError:
                self.lost = True
                self._buffer.clear()
                break
            del self._buffer[: size + header_bytes]
            self._body_left = body_bytes
        return found

    def _skip_body(self) -> bool:
        """Whether the next byte begins a frame."""
        passed = min(self._body_left, len(self._buffer))
        del self._buffer[:passed]
        self._body_left -= passed
        return not self._body_left


@dataclass(slots=True)
class _Asked:
    exchange: Exchange
    request: frames.FrameRequest | None
    blocks: int = 0
    missing: int = 0


@dataclass(slots=True)
class _Way:
    """One direction of a stream: what its writer asked the other end, by number."""

    source: Address
    target: Address
    back: object
    reader: FrameReader = field(default_factory=FrameReader)
    asked: dict[int, _Asked] = field(default_factory=dict)


class StreamTalk:
    """``done`` is handed each exchange once."""

    def __init__(self, done: Callable[[Exchange], None]) -> None:
        self._done = done
        self._ways: dict[object, _Way] = {}

    def dialled(self, begun_s: float, now_s: float, source: Address, to: Address, why: str) -> None:
        answer = "" if why else "connected"
        self._done(Exchange(begun_s, now_s, source, to, STREAM, "dial", "", answer, why))

    def opened(
        self, now_s: float, there: object, back: object, source: Address, target: Address
    ) -> None:
        self._ways[there] = _Way(source, target, back)
        self._ways[back] = _Way(target, source, there)
        shaking = Exchange(now_s, now_s, source, target, STREAM, HANDSHAKE, "")
        self._ways[there].asked[_SHAKING] = _Asked(shaking, None)

    def wrote(self, now_s: float, pipe: object, data: bytes) -> None:
        way = self._ways.get(pipe)
        if way is None:
            return
        for frame in way.reader.feed(data):
            self._frame(now_s, way, frame)

    def ended(self, now_s: float, pipe: object, why: str) -> None:
        """Nothing more comes this way: what the other end asked is not answered any more."""
        way = self._ways.pop(pipe, None)
        if way is None:
            return
        other = self._ways.get(way.back)
        for one in (way, other) if other is not None else (way,):
            for number in list(one.asked):
                self._end(now_s, one, number, "", f"the stream ended: {why}")

    def close(self, now_s: float) -> None:
        """What is open now was not answered by the end."""
        for pipe in list(self._ways):
            self.ended(now_s, pipe, "so did the run")

    def _frame(self, now_s: float, way: _Way, frame: frames.Frame) -> None:
        back = self._ways.get(way.back)
        if isinstance(frame, frames.FrameRequest):
            kind, about = type(frame).__name__, requested(frame)
            exchange = Exchange(now_s, now_s, way.source, way.target, STREAM, kind, about)
            way.asked[frame.request] = _Asked(exchange, frame)
        elif isinstance(frame, frames.FrameResponse) and back is not None:
            self._response(now_s, back, frame)
        elif isinstance(frame, frames.Introduction):
            self._end(now_s, way, _SHAKING, "agreed", "")
        elif isinstance(frame, frames.Refused):
            for one in (way, back) if back is not None else (way,):
                failure = f"refused: {frame.code} ({frame.reason})"
                self._end(now_s, one, _SHAKING, "refused", failure)
        elif isinstance(frame, frames.Cancel):
            self._cancel(now_s, way, frame.request)

    def _response(self, now_s: float, asker: _Way, frame: frames.FrameResponse) -> None:
        asked = asker.asked.get(frame.request)
        if asked is None:
            return
        asked.exchange.stop_s = now_s
        if isinstance(frame, frames.Blocks) and isinstance(asked.request, frames.GetBlocks):
            asked.blocks += len(frame.indices)
            asked.missing += len(frame.missing)
            if asked.blocks + asked.missing < len(asked.request.cids):
                return
            failure = f"{asked.missing} missing" if asked.missing else ""
            self._end(now_s, asker, frame.request, f"{asked.blocks} blocks", failure)
        elif frame.final:
            self._end(now_s, asker, frame.request, *responded(frame))

    def _cancel(self, now_s: float, asker: _Way, number: int) -> None:
        """Its answer may still come; what is told is that nobody wants it."""
        self._end(now_s, asker, number, "", "cancelled by who asked")

    def _end(self, now_s: float, asker: _Way, number: int, answer: str, failure: str) -> None:
        asked = asker.asked.pop(number, None)
        if asked is not None:
            asked.exchange.stop_s = now_s
            asked.exchange.answer, asked.exchange.failure = answer, failure
            self._done(asked.exchange)
