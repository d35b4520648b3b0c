"""Who is at the other end of a stream.

TLS has proved the acceptor's key to the dialler.  The acceptor sends a nonce; the dialler signs
a domain string, the network's name, both keys and the nonce.  Both keys are signed so that a
node cannot pass a nonce on and be taken for somebody else; the nonce so that a proof serves once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dhtstore.errors import (
    ConnectionLost,
    InvalidSignature,
    PeerRefused,
    RefusedByNetwork,
    RemoteProtocolError,
)
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import check
from dhtstore.net.ports import Crypto, Entropy, Stream
from dhtstore.node.links.frame_io import read_prefix, read_rest, write_frame
from dhtstore.params import (
    ADDRESSES_PER_TICKET_MAX,
    HANDSHAKE_FRAME_MAX_BYTES,
    NONCE_BYTES,
    PROTOCOL_VERSION,
    REASON_MAX_CHARS,
)
from dhtstore.wire.frames import AnyMessage, Auth, Hello, Refused, Welcome

_DOMAIN: Final = b"dhtstore/auth/1\0"
_NETWORK_CODES: Final = ("network", "key")


@dataclass(frozen=True, slots=True)
class Identity:
    """What this node says of itself in a handshake."""

    network: Network
    crypto: Crypto
    record: ContactRecord | None


@dataclass(frozen=True, slots=True)
class Peer:
    """Who was proved to be at the other end, and the contact record it gave."""

    public_key: PublicKey
    record: ContactRecord | None


async def greet(stream: Stream, own: Identity) -> Peer:
    """The dialler's side.  Raises RefusedByNetwork (another network, version or key),
    PeerRefused (for instance "busy"), RemoteProtocolError, ConnectionLost."""
    server_key = stream.remote_key
    hello = _not_refused(await _read(stream))
    if server_key is None or not isinstance(hello, Hello):
        raise RemoteProtocolError("the peer did not say hello")
    _same_network(hello.version, hello.network, own.network.name)
    client_key = own.crypto.node.public_key
    signed = _signed_bytes(own.network, client_key, server_key, hello.nonce)
    signature = own.crypto.node.sign(signed)
    auth = Auth(PROTOCOL_VERSION, own.network.name, client_key, signature, own.record)
    await write_frame(stream, auth)
    if not isinstance(_not_refused(await _read(stream)), Welcome):
        raise RemoteProtocolError("the peer did not welcome us")
    return Peer(server_key, _checked(hello.record, server_key, own))


async def admit(stream: Stream, own: Identity, entropy: Entropy) -> Peer:
    """The acceptor's side; tells the dialler why it is refused.  Raises RefusedByNetwork,
    InvalidSignature, RemoteProtocolError, ConnectionLost."""
    nonce = entropy.random_bytes(NONCE_BYTES)
    await write_frame(stream, Hello(PROTOCOL_VERSION, own.network.name, nonce, own.record))
    auth = await _read(stream)
    if not isinstance(auth, Auth):
        raise RemoteProtocolError("the peer did not prove its key")
    try:
        _same_network(auth.version, auth.network, own.network.name)
        key = PublicKey(auth.public_key)
        signed = _signed_bytes(own.network, key, own.crypto.node.public_key, nonce)
        if not own.crypto.verify(key, signed, auth.signature):
            raise InvalidSignature("the peer did not prove the key it claims")
        record = _checked(auth.record, key, own)
    except RefusedByNetwork as error:
        await refuse(stream, "network", str(error))
        raise
    except InvalidSignature as error:
        await refuse(stream, "key", str(error))
        raise
    await write_frame(stream, Welcome())
    return Peer(key, record)


async def refuse(stream: Stream, code: str, reason: str) -> None:
    """Say why and end the stream."""
    await write_frame(stream, Refused(code, reason[:REASON_MAX_CHARS]))
    await stream.close()


def _not_refused(answer: AnyMessage) -> AnyMessage:
    if isinstance(answer, Refused):
        if answer.code in _NETWORK_CODES:
            raise RefusedByNetwork(f"the node refused us: {answer.reason}")
        raise PeerRefused(answer.code, f"the node refused us: {answer.reason}")
    return answer


def _same_network(version: int, network: str, ours: str) -> None:
    if network != ours:
        raise RefusedByNetwork(f"that node is of network {network!r}, this one of {ours!r}")
    if version != PROTOCOL_VERSION:
        raise RefusedByNetwork(
            f"that node speaks protocol version {version}, this one {PROTOCOL_VERSION}"
        )


def _signed_bytes(network: Network, client: PublicKey, server: PublicKey, nonce: bytes) -> bytes:
    return _DOMAIN + network.binding + client + server + nonce


def _checked(record: ContactRecord | None, key: PublicKey, own: Identity) -> ContactRecord | None:
    """The record, if it is the peer's own; raises InvalidSignature or RemoteProtocolError."""
    if record is None:
        return None
    if record.public_key != key or len(record.addresses) > ADDRESSES_PER_TICKET_MAX:
        raise RemoteProtocolError("a contact record that is not the peer's own")
    check(record, own.network, own.crypto)
    return record


async def _read(stream: Stream) -> AnyMessage:
    try:
        sizes = await read_prefix(stream)
        message, _ = await read_rest(stream, sizes, HANDSHAKE_FRAME_MAX_BYTES)
    except ConnectionLost as error:
        raise ConnectionLost(f"{stream.remote} hung up during the handshake") from error
    return message
