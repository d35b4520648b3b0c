"""Questions by datagram: requests and their answers by the id of their message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address
from dhtstore.wire import datagram, envelope
from simulations.messages.exchange import DATAGRAM, Exchange
from simulations.messages.wording import answered, asked

OPEN_S = 60.0  # nobody waits longer for an answer to a datagram
_ON_ITS_WAY = ("datagram", "duplicated")


@dataclass(slots=True)
class _Open:
    """``fate`` is what is known of the newest datagram of it."""

    exchange: Exchange
    request: datagram.Request | None
    fate: str


class DatagramTalk:
    """``done`` is handed each exchange once: when it was answered, or when nobody waits any more
    (then in order of their beginnings)."""

    def __init__(self, done: Callable[[Exchange], None]) -> None:
        self._done = done
        self._open: dict[tuple[bytes, Address, Address], _Open] = {}

    def sent(self, now_s: float, fate: str, source: Address, target: Address, data: bytes) -> None:
        self._let_go(now_s - OPEN_S)
        kind, message_id, payload = _parts(data)
        if kind == datagram.REQUEST:
            self._request(now_s, fate, (message_id, source, target), payload)
        elif fate not in _ON_ITS_WAY:
            self._note((message_id, target, source), f"the {_named(kind)} was lost: {fate}", now_s)

    def arrived(self, now_s: float, source: Address, target: Address, data: bytes) -> None:
        kind, message_id, payload = _parts(data)
        if kind == datagram.REQUEST:
            self._note((message_id, source, target), "it arrived, and was not answered", now_s)
        elif kind == datagram.RESPONSE:
            self._answer(now_s, (message_id, target, source), payload)
        else:
            self._note((message_id, target, source), "challenged, and not asked again", now_s)

    def perished(
        self, now_s: float, why: str, source: Address, target: Address, data: bytes
    ) -> None:
        kind, message_id, _ = _parts(data)
        if kind == datagram.REQUEST:
            self._note((message_id, source, target), f"the request was lost: {why}", now_s)
        else:
            self._note((message_id, target, source), f"the {_named(kind)} was lost: {why}", now_s)

    def close(self, now_s: float) -> None:
        """The run is over at ``now_s``: what is open was never answered."""
        self._let_go(float("inf"))

    def _request(
        self, now_s: float, fate: str, key: tuple[bytes, Address, Address], payload: bytes
    ) -> None:
        told = "on its way" if fate in _ON_ITS_WAY else f"the request was lost: {fate}"
        again = self._open.get(key)
        if again is not None:
            again.fate, again.exchange.stop_s = told, now_s
            return
        try:
            request = datagram.decode_request(payload)
        except RemoteProtocolError as error:
            exchange = Exchange(now_s, now_s, *key[1:], DATAGRAM, "malformed", str(error))
            self._open[key] = _Open(exchange, None, told)
            return
        known = None if isinstance(request, datagram.UnknownProcedure) else request
        exchange = Exchange(now_s, now_s, *key[1:], DATAGRAM, _kind(request), asked(request))
        self._open[key] = _Open(exchange, known, told)

    def _answer(self, now_s: float, key: tuple[bytes, Address, Address], payload: bytes) -> None:
        found = self._open.pop(key, None)
        if found is None:
            return  # a second copy, or an answer to what nobody asked
        exchange = found.exchange
        exchange.stop_s = now_s
        try:
            if found.request is not None:
                response = datagram.decode_response(found.request, payload)
                exchange.answer, exchange.failure = answered(response)
            else:
                exchange.answer = "answered"
        except RemoteProtocolError as error:
            exchange.answer, exchange.failure = "malformed", str(error)
        self._done(exchange)

    def _note(self, key: tuple[bytes, Address, Address], fate: str, now_s: float) -> None:
        found = self._open.get(key)
        if found is not None:
            found.fate, found.exchange.stop_s = fate, now_s

    def _let_go(self, before_s: float) -> None:
        """Begun before that, and not answered."""
        while self._open:
            key, first = next(iter(self._open.items()))
            if first.exchange.start_s >= before_s:
                return
            del self._open[key]
            first.exchange.failure = f"no answer: {first.fate}"
            self._done(first.exchange)


def _parts(data: bytes) -> tuple[int, bytes, bytes]:
    """(type of the frame or -1 of a challenge, id of the message, payload)."""
    challenge = envelope.parse_challenge(data)
    if challenge is not None:
        return -1, challenge.message_id, b""
    opened = envelope.parse(data)
    if opened is None or len(opened.frame) < datagram.FRAME_OVERHEAD_BYTES:
        return datagram.REQUEST, data[:20], b""
    frame = opened.frame
    return (
        frame[0],
        frame[1 : datagram.FRAME_OVERHEAD_BYTES],
        frame[datagram.FRAME_OVERHEAD_BYTES :],
    )


def _named(kind: int) -> str:
    return "answer" if kind == datagram.RESPONSE else "challenge"


def _kind(request: datagram.Request | datagram.UnknownProcedure) -> str:
    if isinstance(request, datagram.UnknownProcedure):
        return request.procedure
    return str(request.__struct_config__.tag)
