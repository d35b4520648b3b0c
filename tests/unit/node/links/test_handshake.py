"""Both ends proved, and everyone who tries to pass for another refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dhtstore.errors import ConnectionLost, DhtstoreError, RefusedByNetwork, RemoteProtocolError
from dhtstore.model.cid import Cid
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.model.signing import sign
from dhtstore.net.ports import Stream
from dhtstore.node.links.frame_io import read_message, read_prefix, write_frame
from dhtstore.node.links.handshake import (
    Credentials,
    ProvedPeer,
    admit,
    greet,
    prove,
)
from dhtstore.params import (
    CONTACT_RECORD_TTL_S,
    FRAME_BODY_MAX_BYTES,
    HANDSHAKE_FRAME_MAX_BYTES,
    HANDSHAKE_TIMEOUT_S,
    MIB,
    NONCE_BYTES,
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    RECORD_FUTURE_SKEW_MAX_S,
)
from dhtstore.tasks import Supervisor
from dhtstore.wire.frames import (
    PREFIX,
    Auth,
    Blocks,
    Frame,
    Hello,
    Introduction,
    Refused,
    Welcome,
    encode,
)
from dhtstore.wire.proofs import DIALLER, meeting, transcript
from simulations.world.network.streams import certificate_hash
from simulations.world.ports.clock import EPOCH_UNIX_S
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy
from tests.unit.node.data_plane import Peer, World, collect, play

# The heads of frames with a body that never comes: one that is not known, and one that is.
BODIES = [
    PREFIX.pack(2, FRAME_BODY_MAX_BYTES) + b"\x91\x0f",
    encode(Blocks(indices=(0,), sizes=(MIB,), request=1), MIB),
]


async def read(stream: Stream) -> Frame:
    return await read_message(stream, await read_prefix(stream))


async def meet(
    world: World, dialler: Credentials, acceptor: Credentials
) -> tuple[ProvedPeer | DhtstoreError, ProvedPeer | DhtstoreError]:
    """What each side makes of the other: the dialler's view, then the acceptor's."""
    port, key = 7400, acceptor.crypto.node.public_key
    admitted: asyncio.Future[ProvedPeer | DhtstoreError] = world.loop.create_future()

    async def accept(stream: Stream) -> None:
        try:
            admitted.set_result(
                await admit(stream, acceptor, SimEntropy(1, f"acceptor at {world.loop.time()}"))
            )
        except DhtstoreError as error:
            stream.abort()
            admitted.set_result(error)

    listening = world.streams.transport(Address("10.9.0.1", port), key)
    await listening.listen(port, accept, Supervisor())
    own = dialler.crypto.node.public_key
    stream = await world.streams.transport(Address("10.9.0.2", port), own).dial(
        Address("10.9.0.1", port), key, 5.0
    )
    try:
        entropy = SimEntropy(1, f"dialler at {world.loop.time()}")
        greeted: ProvedPeer | DhtstoreError = await greet(stream, dialler, entropy)
    except DhtstoreError as error:
        stream.abort()
        greeted = error
    answers = greeted, await admitted
    stream.abort()
    await listening.close()
    return answers


def credentials(name: str, **changes: Any) -> Credentials:
    crypto = SimCrypto(name.encode(), name.encode())
    return replace(Credentials(Network("main"), crypto, None, EPOCH_UNIX_S), **changes)


async def hello_of(stream: Stream) -> Hello:
    message = await read(stream)
    assert isinstance(message, Hello)
    return message


def proof(
    by: Peer,
    server: PublicKey,
    hello: Hello,
    claimed: PublicKey | None = None,
    network: str = "main",
    channel: bytes | None = None,
) -> Auth:
    """What ``by`` answers to a ``hello``, as its own key or one it claims."""
    own = Credentials(Network(network), by.crypto, None, EPOCH_UNIX_S)
    channel = channel or certificate_hash(server)
    auth = prove(own, server, channel, hello, nonce=b"of the dialler".ljust(NONCE_BYTES))
    if claimed is None:
        return auth
    unproved = msgspec.structs.replace(auth, public_key=claimed)
    return msgspec.structs.replace(
        unproved,
        signature=by.crypto.node.sign(transcript(own.network, server, channel, hello, unproved)),
        network_proof=own.network.proof(DIALLER, meeting(server, channel, hello, unproved)),
    )


def test_both_ends_learn_key_and_contact_record() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        link = await a.links.to(b.key, [b.address], 5.0)
        assert (link.public_key, link.peer_record) == (b.key, b.record())
        await collect(link, [Cid.of(b"x")])  # answered once the dialler has introduced itself
        (other,) = b.links.open_links()
        assert (other.public_key, other.peer_record) == (a.key, a.record())

    play(scene)


def test_both_ends_have_one_meeting_that_no_other_handshake_has() -> None:
    async def scene(world: World) -> None:
        meetings = set()
        for _ in range(2):
            outcomes = await meet(world, credentials("a"), credentials("b"))
            assert all(isinstance(outcome, ProvedPeer) for outcome in outcomes)
            (met,) = {outcome.meeting for outcome in outcomes if isinstance(outcome, ProvedPeer)}
            meetings.add(met)
        assert len(meetings) == 2
        assert {len(met) for met in meetings} == {32}

    play(scene)


@pytest.mark.parametrize("end", ["dialler", "acceptor"])
def test_each_end_alone_makes_the_meeting_fresh(end: str) -> None:
    hello, key = Hello(1, 1, b"n" * 32), PublicKey(b"k" * 32)
    auth = prove(credentials("a"), key, b"c" * 32, hello, nonce=b"m" * 32)
    before = meeting(key, b"c" * 32, hello, auth)
    if end == "dialler":
        auth = msgspec.structs.replace(auth, nonce=b"M" * 32)
    else:
        hello = msgspec.structs.replace(hello, nonce=b"N" * 32)
    assert meeting(key, b"c" * 32, hello, auth) != before


def test_a_proof_made_for_another_stream_of_the_same_key_is_refused() -> None:
    """As a man in the middle would show another certificate of the acceptor's key."""

    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        hello = await hello_of(stream)
        await refused(
            proof(a, b.key, hello, channel=b"another stream".ljust(32)), stream, "network"
        )

    play(scene)


def test_the_signature_covers_the_stream_by_itself() -> None:
    own, key, hello = credentials("a"), PublicKey(b"k" * 32), Hello(1, 1, b"n" * 32)
    auths = [prove(own, key, channel, hello, nonce=b"m" * 32) for channel in (b"one", b"two")]
    signed = transcript(own.network, key, b"one", hello, auths[0])
    assert own.crypto.verify(own.crypto.node.public_key, signed, auths[0].signature)
    assert not own.crypto.verify(own.crypto.node.public_key, signed, auths[1].signature)


RECORD = {
    "addresses": (("10.0.0.1", 7400),),
    "capacity_bytes": 1,
    "domain": "",
    "sequence": 1,
    "issued": int(EPOCH_UNIX_S),
    "expires": int(EPOCH_UNIX_S) + 3600,
}


def record_of(own: Credentials, **changes: Any) -> ContactRecord:
    """A contact record that its own node signed, with something wrong in it."""
    fields = {**RECORD, **changes}
    unsigned = ContactRecord(public_key=own.crypto.node.public_key, **fields)
    return sign(unsigned, own.network, own.crypto.node)


@pytest.mark.parametrize(
    "changes",
    [
        {"addresses": (("10.0.0.1", 0),)},
        {"addresses": (("1" * 46, 1),)},
        {"addresses": (("10.0.0.1", 1),) * 5},
        {"capacity_bytes": -1},
        {"domain": "d" * 65},
        {"sequence": -1},
        {"issued": -1},
    ],
    ids=str,
)
@pytest.mark.parametrize("end", ["dialler", "acceptor"])
def test_a_malformed_contact_record_ends_the_handshake(end: str, changes: dict[str, Any]) -> None:
    async def scene(world: World) -> None:
        bad, other = credentials("a"), credentials("b")
        bad = replace(bad, record=record_of(bad, **changes))
        pair = (bad, other) if end == "dialler" else (other, bad)
        outcomes = await meet(world, *pair)
        assert isinstance(outcomes[end == "dialler"], RemoteProtocolError)

    play(scene)


@pytest.mark.parametrize(
    ("issued_s", "expires_s", "believed"),
    [
        (0, 3600, True),
        (RECORD_FUTURE_SKEW_MAX_S, CONTACT_RECORD_TTL_S + RECORD_FUTURE_SKEW_MAX_S, True),
        (RECORD_FUTURE_SKEW_MAX_S + 1, 3600, False),
        (-7200, -3600, False),
        (0, CONTACT_RECORD_TTL_S + 1, False),
        (0, 0, False),
    ],
)
@pytest.mark.parametrize("end", ["dialler", "acceptor"])
def test_a_contact_record_out_of_time_is_as_if_there_were_none(
    end: str, issued_s: float, expires_s: float, believed: bool
) -> None:
    async def scene(world: World) -> None:
        early, other = credentials("a"), credentials("b")
        issued, expires = int(EPOCH_UNIX_S + issued_s), int(EPOCH_UNIX_S + expires_s)
        early = replace(early, record=record_of(early, issued=issued, expires=expires))
        pair = (early, other) if end == "dialler" else (other, early)
        peer = (await meet(world, *pair))[end == "dialler"]
        assert isinstance(peer, ProvedPeer)
        assert peer.record == (early.record if believed else None)

    play(scene)


def test_another_network_is_refused_on_both_sides_and_neither_is_named() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        with pytest.raises(RefusedByNetwork, match=r"of another network than 'main'$"):
            await a.links.to(b.key, [b.address], 5.0)
        with pytest.raises(RefusedByNetwork, match=r"of another network than 'other'$"):
            await b.links.dial_unknown(a.address)
        assert not a.links.open_links()
        assert not b.links.open_links()

    play(scene, names={"b": "other"})


def test_a_dialler_of_another_network_is_told_so_and_no_name() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        hello = await hello_of(stream)
        await write_frame(stream, proof(a, b.key, hello, network="other"))
        assert await read(stream) == Refused("network", "this node is of another network")

    play(scene)


def test_a_stranger_hears_neither_the_network_nor_where_a_node_is() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        hello = await hello_of(stream)
        said = msgspec.structs.asdict(hello)
        said.pop("nonce")
        assert said == {
            "version": PROTOCOL_VERSION,
            "oldest": OLDEST_PROTOCOL_VERSION,
            "features": (),
        }

    play(scene)


def test_an_acceptor_that_cannot_prove_the_network_is_refused_by_the_dialler() -> None:
    """It hands back the dialler's own proof, the only one of that network it has seen."""

    async def scene(world: World) -> None:
        a = await world.peer("a")
        key, heard = PublicKey(b"m" * 32), list[type]()

        async def pose(stream: Stream) -> None:
            await write_frame(stream, Hello(PROTOCOL_VERSION, 1, b"n" * 32))
            auth = await read(stream)
            heard.append(type(auth))
            assert isinstance(auth, Auth)
            await write_frame(stream, Welcome(auth.network_proof))
            with pytest.raises(ConnectionLost):
                heard.append(type(await read(stream)))

        posing = world.streams.transport(Address("10.0.0.9", 7400), key)
        await posing.listen(7400, pose, Supervisor())
        with pytest.raises(RefusedByNetwork, match="another network than 'main'"):
            await a.links.to(key, [Address("10.0.0.9", 7400)], 5.0)
        await asyncio.sleep(1)
        assert heard == [Auth]  # and not where the dialler is reached
        await posing.close()

    play(scene)


@pytest.mark.parametrize(("ours", "theirs"), [(b"", b"key"), (b"key", b""), (b"key", b"other")])
def test_a_network_of_the_same_name_and_another_key_is_another(ours: bytes, theirs: bytes) -> None:
    async def scene(world: World) -> None:
        dialler = credentials("a", network=Network("main", ours))
        acceptor = credentials("b", network=Network("main", theirs))
        for outcome in await meet(world, dialler, acceptor):
            assert isinstance(outcome, RefusedByNetwork)

    play(scene)


@pytest.mark.parametrize("newer", ["dialler", "acceptor"])
def test_a_higher_version_that_still_speaks_ours_is_met_in_ours(newer: str) -> None:
    async def scene(world: World) -> None:
        today, later = credentials("a"), credentials("b", version=PROTOCOL_VERSION + 1)
        pair = (later, today) if newer == "dialler" else (today, later)
        for outcome in await meet(world, *pair):
            assert isinstance(outcome, ProvedPeer)
            assert outcome.version == PROTOCOL_VERSION

    play(scene)


@pytest.mark.parametrize("newer", ["dialler", "acceptor"])
def test_a_version_that_no_longer_speaks_ours_is_refused_and_both_are_told_why(newer: str) -> None:
    async def scene(world: World) -> None:
        today, later = credentials("a"), credentials("b", version=9, oldest=8)
        pair = (later, today) if newer == "dialler" else (today, later)
        outcomes = await meet(world, *pair)
        dialler = outcomes[0]
        assert isinstance(dialler, RefusedByNetwork)
        assert "versions 8 to 9" in str(dialler)
        assert "version 2" in str(dialler)

    play(scene)


def test_both_use_the_features_that_both_have() -> None:
    async def scene(world: World) -> None:
        a = credentials("a", features=frozenset(("one", "two")))
        b = credentials("b", features=frozenset(("two", "three")))
        for outcome in await meet(world, a, b):
            assert isinstance(outcome, ProvedPeer)
            assert outcome.features == {"two"}

    play(scene)


def test_features_taken_away_on_the_way_are_noticed() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        hello = await hello_of(stream)
        auth = proof(a, b.key, msgspec.structs.replace(hello, features=("stripped",)))
        await refused(auth, stream, "key")

    play(scene)


async def refused(auth: Auth, stream: Stream, code: str) -> None:
    await write_frame(stream, auth)
    answer = await read(stream)
    assert isinstance(answer, Refused)
    assert answer.code == code


def test_claiming_anothers_key_is_refused() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        stream = await a.raw(b)
        hello = await hello_of(stream)
        await refused(proof(a, b.key, hello, claimed=c.key), stream, "key")

    play(scene)


def test_a_nonce_passed_on_proves_nothing() -> None:
    """M takes B's nonce, shows it to A who dials M, and hands A's proof to B."""

    async def scene(world: World) -> None:
        a, b, m = [await world.peer(name) for name in "abm"]
        to_b = await m.raw(b)
        hello = await hello_of(to_b)
        made_for_m = proof(a, m.key, hello)
        await refused(made_for_m, to_b, "network")

    play(scene)


def test_a_proof_serves_once() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        first = await a.raw(b)
        used = proof(a, b.key, await hello_of(first))
        await write_frame(first, used)
        assert isinstance(await read(first), Welcome)
        second = await a.raw(b)
        await hello_of(second)
        await refused(used, second, "network")

    play(scene)


def test_somebody_elses_contact_record_ends_the_handshake() -> None:
    async def scene(world: World) -> None:
        a, b, c = [await world.peer(name) for name in "abc"]
        stream = await a.raw(b)
        await write_frame(stream, proof(a, b.key, await hello_of(stream)))
        assert isinstance(await read(stream), Welcome)
        await write_frame(stream, Introduction(c.record().packed))
        with pytest.raises(ConnectionLost):
            await read(stream)

    play(scene)


@pytest.mark.parametrize("head", BODIES, ids=["unknown", "known"])
def test_an_acceptor_that_announces_a_body_is_refused_at_once(head: bytes) -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        key = PublicKey(b"m" * 32)
        posing = world.streams.transport(Address("10.0.0.9", 7400), key)

        async def pose(stream: Stream) -> None:
            await stream.write(head)
            await asyncio.Event().wait()

        tasks = Supervisor()
        await posing.listen(7400, pose, tasks)
        start_s = world.loop.time()
        with pytest.raises(RemoteProtocolError):
            await a.links.dial_unknown(Address("10.0.0.9", 7400), 5.0)
        assert world.loop.time() - start_s < 1
        await posing.close()
        await tasks.close()

    play(scene)


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff" * 64,
        PREFIX.pack(HANDSHAKE_FRAME_MAX_BYTES + 1, 0) + bytes(HANDSHAKE_FRAME_MAX_BYTES + 1),
        PREFIX.pack(10, 0) + b"not msgpack at all",
        PREFIX.pack(2, 0) + b"\x91\x05",
        *BODIES,
    ],
    ids=["ones", "oversized", "garbage", "introduction", "unknown body", "known body"],
)
def test_a_dialler_that_talks_nonsense_is_dropped(junk: bytes) -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        await hello_of(stream)
        start_s = world.loop.time()
        await stream.write(junk)
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert world.loop.time() - start_s < 1  # waiting for no more of it
        assert (await a.links.to(b.key, [b.address], 5.0)).alive

    play(scene)


def test_a_dialler_that_says_nothing_is_dropped_in_time() -> None:
    async def scene(world: World) -> None:
        a, b = await world.peer("a"), await world.peer("b")
        stream = await a.raw(b)
        await hello_of(stream)
        start = world.loop.time()
        with pytest.raises(ConnectionLost):
            await read(stream)
        assert world.loop.time() - start <= HANDSHAKE_TIMEOUT_S + 1

    play(scene)


def test_an_acceptor_that_says_nothing_does_not_hold_the_dialler() -> None:
    async def scene(world: World) -> None:
        a = await world.peer("a")
        key = PublicKey(b"m" * 32)
        mute = world.streams.transport(Address("10.0.0.9", 7400), key)

        async def listen(stream: Stream) -> None:
            await stream.read_exactly(10**6)

        await mute.listen(7400, listen, Supervisor())
        with pytest.raises(ConnectionLost):
            await a.links.to(key, [Address("10.0.0.9", 7400)], 5.0)
        await mute.close()

    play(scene)
