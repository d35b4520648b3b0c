"""The outside of every datagram: its version, network, sender's key and a MAC.

    0   version        1    of this form of the outside, not of the protocol
    1   network tag    8    so that a stranger's datagram costs one comparison
    9   flags          1
   10   sender's key  32    Ed25519
   42   MAC           16    over everything else, under the key of this direction
   58   cookie        16    only with COOKIE: proves that the sender receives at its address
    .   length         2    of the frame; what follows the frame is padding
    .   frame, padding

A challenge (flag CHALLENGE) carries no MAC: after the key comes the id of the message it answers,
which only who saw that request knows, then the cookie to repeat the request with.

Flags that are not known here mean nothing, and what follows a challenge is passed over.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final, NamedTuple, Protocol

from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import DATAGRAM_MAX_BYTES

STORAGE: Final = 1  # the sender is a storage node
EPHEMERAL: Final = 2  # the sender will be gone soon: answer it, never put it in a table
COOKIE: Final = 4
CHALLENGE: Final = 8
PROVED: Final = 16  # the sender may send the receiver as much as it likes: no padding needed

MAC_BYTES: Final = 16
COOKIE_BYTES: Final = 16
_TAG_END: Final = 9
FLAGS_AT: Final = _TAG_END
_KEY_AT: Final = 10
_MAC_AT: Final = 42
_BODY_AT: Final = 58
OVERHEAD_BYTES: Final = _BODY_AT + 2
MESSAGE_ID_BYTES: Final = 20  # rpcudp/protocol.py
CHALLENGE_BYTES: Final = _MAC_AT + MESSAGE_ID_BYTES + COOKIE_BYTES
FRAME_MAX_BYTES: Final = DATAGRAM_MAX_BYTES - OVERHEAD_BYTES
_PADDING: Final = bytes(DATAGRAM_MAX_BYTES)


class KeyAgreement(Protocol):
    """The part of ``net.ports.Crypto`` that datagrams need."""

    def agree(self, public_key: PublicKey) -> bytes: ...

    def mac(self, key: bytes, *parts: bytes) -> bytes: ...


class Opened(NamedTuple):
    """The parts of a datagram whose outside is well formed; nothing is proved yet."""

    flags: int
    sender: PublicKey
    cookie: bytes
    frame: bytes


def parse(data: bytes) -> Opened | None:
    """Take a datagram apart; None if it is malformed.  Look for ``Network.datagram_prefix`` first,
    ``verify`` after."""
    size_bytes = len(data)
    if not OVERHEAD_BYTES <= size_bytes <= DATAGRAM_MAX_BYTES:
        return None
    flags: int = data[FLAGS_AT]
    at = _BODY_AT + COOKIE_BYTES if flags & COOKIE else _BODY_AT
    start = at + 2
    if start > size_bytes:
        return None
    end = start + (data[at] << 8 | data[at + 1])
    if end > size_bytes:
        return None
    return Opened(flags, data[_KEY_AT:_MAC_AT], data[_BODY_AT:at], data[start:end])  # type: ignore[arg-type]


def session_keys(crypto: KeyAgreement, network: Network, own: bytes, peer: PublicKey) -> bytes:
    """32 bytes: the key we MAC with, then the key the peer MACs with.

    Bound to the network, both keys and the direction.  Raises InvalidSignature for a key that
    cannot be agreed with.  Costs 50 to 80 microseconds.
    """
    shared = crypto.agree(peer)
    domain = b"dhtstore/datagram/1\0" + network.digest
    return crypto.mac(shared, domain, own, peer) + crypto.mac(shared, domain, peer, own)


def seal(
    crypto: KeyAgreement,
    header: bytes,
    keys: bytes,
    frame: bytes,
    *,
    cookie: bytes = b"",
    size_bytes: int = 0,
) -> bytes:
    """A datagram, padded to ``size_bytes``.  ``header`` comes from ``header_of``."""
    body = cookie + len(frame).to_bytes(2, "big") + frame
    missing = size_bytes - _BODY_AT - len(body)
    if missing > 0:
        body += _PADDING[:missing]
    return header + crypto.mac(keys[:MAC_BYTES], header, body) + body


def verify(crypto: KeyAgreement, keys: bytes, data: bytes) -> bool:
    """Whether the sender that the datagram names made it for us."""
    expected = crypto.mac(keys[MAC_BYTES:], data[:_MAC_AT], data[_BODY_AT:])
    return compare_digest(expected, data[_MAC_AT:_BODY_AT])


def header_of(network: Network, flags: int, own: PublicKey) -> bytes:
    return network.datagram_prefix + bytes((flags,)) + own


class Challenge(NamedTuple):
    """Asks a stranger to repeat its request with this cookie."""

    sender: PublicKey
    message_id: bytes
    cookie: bytes


def challenge(network: Network, own: PublicKey, message_id: bytes, cookie: bytes) -> bytes:
    return header_of(network, CHALLENGE, own) + message_id + cookie


def parse_challenge(data: bytes) -> Challenge | None:
    """None if the datagram is no challenge."""
    if len(data) < CHALLENGE_BYTES or not data[FLAGS_AT] & CHALLENGE:
        return None
    at = _MAC_AT + MESSAGE_ID_BYTES
    return Challenge(PublicKey(data[_KEY_AT:_MAC_AT]), data[_MAC_AT:at], data[at:CHALLENGE_BYTES])
