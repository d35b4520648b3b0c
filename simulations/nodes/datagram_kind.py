"""Which kind of message a datagram is, from its bytes alone."""

from __future__ import annotations

from dhtstore.wire import datagram, envelope
from simulations.datagram_kinds import ANSWER

_TAG_LENGTH_MASK = 0x1F  # msgpack fixstr


def kind_of(data: bytes) -> str:
    """What a datagram is: the request's name, "answer" or "challenge"."""
    flags = data[envelope.FLAGS_AT]
    at = envelope.OVERHEAD_BYTES + envelope.COOKIE_BYTES * bool(flags & envelope.COOKIE)
    tag_at = at + datagram.FRAME_OVERHEAD_BYTES + 1  # behind the head of the array
    if flags & envelope.CHALLENGE or tag_at >= len(data):
        return "challenge"
    if data[at] == datagram.RESPONSE:
        return ANSWER
    end = tag_at + 1 + (data[tag_at] & _TAG_LENGTH_MASK)
    return data[tag_at + 1 : end].decode("ascii", "replace")
