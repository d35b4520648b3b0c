"""Byte-exact examples of everything that travels between nodes: protocol.json beside this.

``python -m tests.vectors.generate`` writes it; tests/unit/wire/test_vectors.py holds it to what
the code says.  Keys are Ed25519 keys from the seeds below, so that signatures and MACs are the
real ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import dht_key, node_id
from dhtstore.model.network import Network
from dhtstore.model.policy import Grant, Policy, word_for
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import Signed, sign
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.node.links.handshake import Credentials, prove
from dhtstore.wire import datagram, envelope, frames
from dhtstore.wire.proofs import ACCEPTOR, meeting, transcript
from dhtstore.wire.ticket import Ticket

FILE: Final = Path(__file__).with_name("protocol.json")
NETWORK: Final = Network("vectors")
PRIVATE: Final = Network("vectors", b"secret of a private network")
SEEDS: Final = {"node": bytes(range(32)), "owner": bytes(range(32, 64)), "peer": b"p" * 32}
NODE: Final = Ed25519Crypto(SEEDS["node"], SEEDS["owner"])
PEER: Final = Ed25519Crypto(SEEDS["peer"], SEEDS["owner"])
KEY: Final = NODE.node.public_key
CID: Final = Cid.of(b"a block")
UNIT_KEY: Final = dht_key(CID.raw)
V4, V6 = Address("192.0.2.7", 7401), Address("2001:db8::7", 7402)
NOW_UNIX_S: Final = 1_800_000_000
TTL_S: Final = 48 * 3600
MESSAGE_ID: Final = bytes(range(100, 120))
NONCE: Final = bytes(range(200, 232))
COOKIE: Final = b"cookie of 16 b.."

CONTACT: Final = sign(
    ContactRecord(
        KEY, (V4, V6), 10**12, "rack 7", NOW_UNIX_S, NOW_UNIX_S, NOW_UNIX_S + TTL_S, ("example",)
    ),
    NETWORK,
    NODE.node,
)
PROVIDER: Final = sign(
    ProviderRecord(UNIT_KEY, KEY, NOW_UNIX_S, NOW_UNIX_S, NOW_UNIX_S + TTL_S), NETWORK, NODE.node
)
WITHDRAWAL: Final = sign(
    ProviderRecord(UNIT_KEY, KEY, NOW_UNIX_S, NOW_UNIX_S, NOW_UNIX_S), NETWORK, NODE.node
)
POLICY: Final = sign(Policy(NODE.owner.public_key, CID.raw, 1, 3, 0, False), NETWORK, NODE.owner)
GRANT: Final = sign(Grant(NODE.owner.public_key, CID.raw, UNIT_KEY, 135, 1), NETWORK, NODE.owner)
RECEIPT: Final = sign(
    Receipt(
        version=1,
        network=NETWORK.name,
        node=node_id(KEY),
        public_key=KEY,
        unit=CID.raw,
        root=CID.raw,
        size=7,
        blocks=1,
        owner=POLICY.owner,
        policy_seq=POLICY.sequence,
        time=NOW_UNIX_S,
        expires=0,
        stored=135,
    ),
    NETWORK,
    NODE.node,
)
SIGNED: Final[tuple[Signed, ...]] = (CONTACT, PROVIDER, POLICY, RECEIPT, GRANT)

HELLO: Final = frames.Hello(1, 1, NONCE, ("example",))
CHANNEL: Final = b"SHA-256 of the certificate shown"
OWN: Final = Credentials(NETWORK, PEER, None, NOW_UNIX_S, frozenset(("example",)))
AUTH: Final = prove(OWN, KEY, CHANNEL, HELLO, nonce=bytes(range(100, 132)))
MEETING: Final = meeting(KEY, CHANNEL, HELLO, AUTH)
WORD: Final = NODE.owner.sign(word_for(NETWORK, KEY, MEETING, key=UNIT_KEY, stored=135, blocks=1))
FRAMES: Final[tuple[frames.Frame, ...]] = (
    HELLO,
    AUTH,
    frames.Welcome(NETWORK.proof(ACCEPTOR, MEETING), CONTACT.packed),
    frames.Refused("network", "this node is of another network"),
    frames.Introduction(CONTACT.packed),
    frames.GetBlocks(cids=(CID.raw, Cid.of(b"another").raw), request=1),
    frames.Blocks(indices=(0,), sizes=(7,), missing=(1,), request=1),
    frames.Offer(
        owner=NODE.owner.public_key, key=UNIT_KEY, stored=135, blocks=1, word=WORD, request=2
    ),
    frames.GetComing(cids=(CID.raw,), key=UNIT_KEY, request=7),
    frames.Accepted(reservation=5, expires_s=60.0, held=135, room=10**9, request=2),
    frames.Replicate(
        reservation=5,
        roots=(CID.raw,),
        spine=False,
        size=7,
        policy=POLICY.packed,
        upstream=(CONTACT.packed,),
        downstream=(KEY,),
        grant=GRANT.packed,
        moving=True,
        request=3,
    ),
    frames.Reroute(reservation=5, upstream=(), downstream=(KEY,), both=True, request=8),
    frames.Rerouted(request=8),
    frames.Replicating(held_bytes=4096, came_bytes=1024, request=3),
    frames.Held(
        receipt=RECEIPT.packed, provider=PROVIDER.packed, contact=CONTACT.packed, request=3
    ),
    frames.Release(reservation=5, request=4),
    frames.Released(request=4),
    frames.Check(unit=bytes.fromhex("01551220") + bytes(32), owner=KEY, root=CID.raw, request=6),
    frames.Checked(whole=False, why="a block is missing", receipt=RECEIPT.packed, request=6),
    frames.Audit(
        nonce=bytes(32),
        units=(frames.AuditItem(bytes.fromhex("01551220") + bytes(32), False, 4),),
        request=7,
    ),
    frames.Audited(proofs=(bytes(32), b""), stays=(0,), request=7),
    frames.Rule(policy=POLICY.packed, units=(CID.raw,), request=9),
    frames.Ruled(claims=1, others=2, newer=POLICY.packed, request=9),
    frames.Declined(code="no-room", reason="the disk is full", request=2),
    frames.Cancel(3),
    frames.Wrong(CID.raw),
)
REQUESTS: Final[tuple[datagram.Request, ...]] = (
    datagram.Ping(),
    datagram.FindNode(node_id(KEY)),
    datagram.AddProvider(PROVIDER.packed, CONTACT.packed),
    datagram.GetProviders(UNIT_KEY, 3),
    datagram.StoreContact(CONTACT.packed),
    datagram.FindContact(node_id(KEY)),
    datagram.AddProviders([PROVIDER.packed, WITHDRAWAL.packed], CONTACT.packed),
    datagram.StorePolicy(POLICY.packed),
    datagram.FindPolicy(POLICY.key),
)
PACKED: Final = datagram.pack_contact(Contact.of(KEY, V4, storage=True))
PACKED_V6: Final = datagram.pack_contact(Contact.of(KEY, V6))
ANSWERS: Final[tuple[tuple[datagram.Request, datagram.Response], ...]] = (
    (datagram.Ping(), datagram.Pong(datagram.pack_address(V4), 1_800_000_000)),
    (REQUESTS[1], datagram.FoundNodes(PACKED)),
    (REQUESTS[2], datagram.Stored("kept")),
    (
        REQUESTS[3],
        datagram.Providers(4, [datagram.Provided(PROVIDER.packed, CONTACT.packed)], PACKED_V6),
    ),
    (REQUESTS[5], datagram.FoundContact(CONTACT.packed, PACKED)),
    (REQUESTS[8], datagram.FoundPolicy(POLICY.packed, PACKED)),
    (REQUESTS[6], datagram.StoredEach(["kept", "not held"])),
    (REQUESTS[1], datagram.UNSUPPORTED),
)
TICKET: Final = Ticket(NETWORK.name, KEY, (V4, V6))


def document() -> dict[str, Any]:
    """What protocol.json holds."""
    vectors = [*_frames(), *_datagrams(), *_envelopes(), *_signed(), *_networks()]
    signed = transcript(NETWORK, KEY, CHANNEL, HELLO, AUTH)
    vectors.append({"name": "handshake transcript", "hex": signed.hex()})
    vectors.append({"name": "handshake meeting", "hex": MEETING.hex()})
    vectors.append({"name": "ticket", "text": str(TICKET), "value": plain(TICKET)})
    seeds = {name: seed.hex() for name, seed in SEEDS.items()}
    return {"network": NETWORK.name, "ed25519_seeds": seeds, "vectors": vectors}


def plain(value: Any) -> Any:
    """The value in JSON's types: bytes in hex, fields by their names."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Ticket):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def body_bytes_of(frame: frames.Frame) -> int:
    return sum(frame.sizes) if isinstance(frame, frames.Blocks) else 0


def sealed(cookie: bytes = b"", size_bytes: int = 0) -> bytes:
    """A find_node request from the node to the peer."""
    keys = envelope.session_keys(NODE, NETWORK, KEY, PEER.node.public_key)
    flags = envelope.STORAGE | (envelope.COOKIE if cookie else 0)
    header = envelope.header_of(NETWORK, flags, KEY)
    frame = datagram.encode_request(MESSAGE_ID, REQUESTS[1])
    return envelope.seal(NODE, header, keys, frame, cookie=cookie, size_bytes=size_bytes)


def _frames() -> list[dict[str, Any]]:
    return [
        _vector(f"frame {type(frame).__name__}", frames.encode(frame, body_bytes_of(frame)), frame)
        for frame in FRAMES
    ]


def _datagrams() -> list[dict[str, Any]]:
    requests = [
        _vector(
            f"request {type(request).__name__}",
            datagram.encode_request(MESSAGE_ID, request),
            request,
        )
        for request in REQUESTS
    ]
    answers = [
        _vector(
            f"response {type(answer).__name__}",
            datagram.encode_response(MESSAGE_ID, answer),
            answer,
        )
        for _, answer in ANSWERS
    ]
    return [*requests, *answers]


def _envelopes() -> list[dict[str, Any]]:
    challenge = envelope.challenge(NETWORK, KEY, MESSAGE_ID, COOKIE)
    return [
        {"name": "datagram", "hex": sealed().hex()},
        {"name": "datagram padded", "hex": sealed(size_bytes=400).hex()},
        {"name": "datagram with cookie", "hex": sealed(COOKIE).hex()},
        {"name": "datagram challenge", "hex": challenge.hex()},
    ]


def _signed() -> list[dict[str, Any]]:
    return [_vector(f"signed {type(each).__name__}", each.packed, each) for each in SIGNED]


def _networks() -> list[dict[str, Any]]:
    return [
        {
            "name": f"network {name}",
            "value": {"name": network.name, "key": network.key.hex()},
            "binding": network.binding.hex(),
            "digest": network.digest.hex(),
            "datagram_prefix": network.datagram_prefix.hex(),
        }
        for name, network in (("open", NETWORK), ("private", PRIVATE))
    ]


def _vector(name: str, encoded: bytes, value: object) -> dict[str, Any]:
    return {"name": name, "hex": encoded.hex(), "value": plain(value)}


def text() -> str:
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
