"""Who is at the other end of a stream, and which network it is of.

TLS has proved the acceptor's key to the dialler.  Each side gives a nonce; the dialler signs the
transcript: both keys, both nonces, the certificate that secures the stream as it sees it, and
what each side said of its versions and features.  Both keys are signed so that a node cannot pass a
nonce on and be taken for somebody else; the nonces so that a proof serves once; the certificate so
that it serves on this stream only; the rest so that nobody in the middle can take anything away.
Each side proves its network over the meeting, the hash of keys, nonces and certificate, the dialler
first, and neither names it; contact records follow once both have.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

import msgspec

from dhtstore.dht.core.record_rules import contact_form, in_time
from dhtstore.errors import (
    OTHER_NETWORK_HINT,
    OTHER_VERSION_HINT,
    ConnectionLost,
    InvalidSignature,
    PeerRefused,
    RefusedByNetwork,
    RemoteProtocolError,
)
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import check, unpack
from dhtstore.net.ports import Crypto, Entropy, Stream
from dhtstore.node.links.frame_io import read_message, read_prefix, write_frame
from dhtstore.params import (
    CONTACT_RECORD_TTL_S,
    FEATURES,
    HANDSHAKE_FRAME_MAX_BYTES,
    NONCE_BYTES,
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    REASON_MAX_CHARS,
)
from dhtstore.wire.frames import Auth, Frame, Hello, Introduction, Refused, Welcome
from dhtstore.wire.proofs import ACCEPTOR, DIALLER, meeting, transcript

_NETWORK: Final = "network"
_VERSION: Final = "version"
_KEY: Final = "key"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What this node proves and says of itself in a handshake; ``unix_s`` is when."""

    network: Network
    crypto: Crypto
    record: ContactRecord | None
    unix_s: float
    features: frozenset[str] = FEATURES
    version: int = PROTOCOL_VERSION
    oldest: int = OLDEST_PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class ProvedPeer:
    """Who was proved to be at the other end, and the contact record it gave.

    ``meeting`` is what no other handshake has, fresh for both ends; ``version`` is what both speak,
    ``features`` what both have.
    """

    public_key: PublicKey
    meeting: bytes
    record: ContactRecord | None
    version: int
    features: frozenset[str]


async def greet(stream: Stream, own: Credentials, entropy: Entropy) -> ProvedPeer:
    """The dialler's side.  Raises RefusedByNetwork (another network, version or key),
    PeerRefused (for instance "busy"), RemoteProtocolError, ConnectionLost."""
    server_key = stream.remote_key
    hello = _not_refused(await _read(stream), own)
    if server_key is None or not isinstance(hello, Hello):
        raise RemoteProtocolError("the peer did not say hello")
    version = _common_version(hello.version, hello.oldest, own)
    auth = prove(own, server_key, stream.binding, hello, entropy.random_bytes(NONCE_BYTES))
    where = meeting(server_key, stream.binding, hello, auth)
    await write_frame(stream, auth)
    welcome = _not_refused(await _read(stream), own)
    if not isinstance(welcome, Welcome):
        raise RemoteProtocolError("the peer did not welcome us")
    _check_network(ACCEPTOR, where, welcome.network_proof, own)
    record = _checked(welcome.record, server_key, own)
    await write_frame(stream, Introduction(_packed(own.record)))
    features = own.features.intersection(hello.features)
    return ProvedPeer(server_key, where, record, version, features)


async def admit(stream: Stream, own: Credentials, entropy: Entropy) -> ProvedPeer:
    """The acceptor's side; tells the dialler why it is refused.  Raises RefusedByNetwork,
    InvalidSignature, RemoteProtocolError, ConnectionLost."""
    nonce = entropy.random_bytes(NONCE_BYTES)
    hello = Hello(own.version, own.oldest, nonce, tuple(sorted(own.features)))
    await write_frame(stream, hello)
    auth = await _read(stream)
    if not isinstance(auth, Auth):
        raise RemoteProtocolError("the peer did not prove its key")
    version = await _judged(stream, own, hello, auth)
    where = meeting(own.crypto.node.public_key, stream.binding, hello, auth)
    proof = own.network.proof(ACCEPTOR, where)
    await write_frame(stream, Welcome(proof, _packed(own.record)))
    introduction = await _read(stream)
    if not isinstance(introduction, Introduction):
        raise RemoteProtocolError("the peer did not introduce itself")
    key = PublicKey(auth.public_key)
    record = _checked(introduction.record, key, own)
    return ProvedPeer(key, where, record, version, own.features.intersection(auth.features))


async def refuse(stream: Stream, code: str, reason: str) -> None:
    """Say why and end the stream."""
    await write_frame(stream, Refused(code, reason[:REASON_MAX_CHARS]))
    await stream.close()


async def _judged(stream: Stream, own: Credentials, hello: Hello, auth: Auth) -> int:
    """The version both speak, once the dialler has proved itself; else it is told why not."""
    code, own_key = _VERSION, own.crypto.node.public_key
    try:
        version = _common_version(auth.version, auth.oldest, own)
        code = _NETWORK
        where = meeting(own_key, stream.binding, hello, auth)
        _check_network(DIALLER, where, auth.network_proof, own)
        code = _KEY
        signed = transcript(own.network, own_key, stream.binding, hello, auth)
        if not own.crypto.verify(PublicKey(auth.public_key), signed, auth.signature):
            raise InvalidSignature("the peer did not prove the key it claims")
    except (RefusedByNetwork, InvalidSignature) as error:
        reason = "this node is of another network" if code == _NETWORK else str(error)
        await refuse(stream, code, reason)
        raise
    return version


def _common_version(newest: int, oldest: int, own: Credentials) -> int:
    """The newest version that both speak."""
    common = min(newest, own.version)
    if common < max(oldest, own.oldest):
        theirs, ours = _versions(newest, oldest), _versions(own.version, own.oldest)
        error = RefusedByNetwork(f"that node speaks protocol {theirs}, this one {ours}")
        raise error.hinted(OTHER_VERSION_HINT)
    return common


def _versions(newest: int, oldest: int) -> str:
    return f"version {newest}" if oldest >= newest else f"versions {oldest} to {newest}"


def prove(
    own: Credentials, server_key: PublicKey, channel: bytes, hello: Hello, nonce: bytes
) -> Auth:
    """What proves this dialler and its network to the acceptor, on this stream only."""
    unproved = Auth(
        own.version,
        own.oldest,
        own.crypto.node.public_key,
        nonce,
        signature=b"",
        network_proof=b"",
        features=tuple(sorted(own.features)),
    )
    signed = transcript(own.network, server_key, channel, hello, unproved)
    where = meeting(server_key, channel, hello, unproved)
    return msgspec.structs.replace(
        unproved,
        signature=own.crypto.node.sign(signed),
        network_proof=own.network.proof(DIALLER, where),
    )


def _check_network(role: bytes, where: bytes, proof: bytes, own: Credentials) -> None:
    if not hmac.compare_digest(proof, own.network.proof(role, where)):
        raise _other_network(own)


def _other_network(own: Credentials) -> RefusedByNetwork:
    error = RefusedByNetwork(f"that node is of another network than {own.network.name!r}")
    return error.hinted(OTHER_NETWORK_HINT)


def _not_refused(answer: Frame, own: Credentials) -> Frame:
    if not isinstance(answer, Refused):
        return answer
    if answer.code == _NETWORK:
        raise _other_network(own)
    if answer.code == _VERSION:
        error = RefusedByNetwork(f"the node refused us: {answer.reason}")
        raise error.hinted(OTHER_VERSION_HINT)
    if answer.code == _KEY:
        raise RefusedByNetwork(f"the node refused us: {answer.reason}")
    raise PeerRefused(answer.code, f"the node refused us: {answer.reason}")


def _packed(record: ContactRecord | None) -> bytes | None:
    return None if record is None else record.packed


def _checked(packed: bytes | None, key: PublicKey, own: Credentials) -> ContactRecord | None:
    """The record, if it is the peer's own; raises InvalidSignature or RemoteProtocolError.

    One that is out of time is nobody's fault but a clock's, and not worth a link: it is as if the
    peer had none, since index nodes would not keep it either.
    """
    if packed is None:
        return None
    record = unpack(ContactRecord, packed)
    if record.public_key != key or not contact_form(record):
        raise RemoteProtocolError("a contact record that is not the peer's own, or malformed")
    check(record, own.network, own.crypto)
    return record if in_time(record, CONTACT_RECORD_TTL_S, own.unix_s) else None


async def _read(stream: Stream) -> Frame:
    """Nothing in a handshake has a body: none is waited for, nor is there memory for one."""
    try:
        sizes = await read_prefix(stream)
        if sizes[1]:
            raise RemoteProtocolError(f"a body of {sizes[1]} bytes in the handshake")
        frame = await read_message(stream, sizes, HANDSHAKE_FRAME_MAX_BYTES)
    except ConnectionLost as error:
        raise ConnectionLost(f"{stream.remote} hung up during the handshake") from error
    return frame
