"""Who makes a node ask it as often as it likes must not choose how that node asks others."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import msgspec
import pytest

from dhtstore.model.contact import Address
from dhtstore.model.identity import DhtKey
from dhtstore.tasks import Supervisor
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import Ping, Pong
from simulations.world.network.endpoint import SimEndpoint
from simulations.world.ports.crypto import SimCrypto
from tests.hostile.dht.stranger import Stranger
from tests.unit.dht.world import HOUR_S, Member, World, play

HOST = "203.0.113.7"
PONG = msgspec.msgpack.encode(Pong(b"", 0))


async def used_to_others(world: World) -> Member:
    """A node that knows how long answers take."""
    members = await world.grow(20)
    for _ in range(8):
        await members[0].dht.lookup(world.rng.randbytes(20), timeout_s=15)
    return members[0]


class Pongs(Stranger):
    """Pongs under whichever of its keys is asked, ``after_s``, each ping that came ``sends``
    times."""

    def __init__(self, world: World, *, sends: int = 1, after_s: float = 0.0) -> None:
        super().__init__(world, HOST)
        self.sends, self.after_s, self.owners = sends, after_s, [self.crypto]
        self.came: Counter[bytes] = Counter()

    def take(self, data: bytes, source: Address, at: SimEndpoint) -> None:
        opened = envelope.parse(data)
        if opened is None or opened.flags & envelope.CHALLENGE or opened.frame[0]:
            self._on_datagram(data, source)
            return
        message_id = opened.frame[1:21]
        pings = isinstance(datagram.decode_request(opened.frame[21:]), Ping)
        self.came[message_id] += pings
        if not pings or self.came[message_id] != self.sends:
            return
        frame = bytes((datagram.RESPONSE,)) + message_id + PONG
        for owner in self.owners:
            own = owner.node.public_key
            keys = envelope.session_keys(owner, self.network, own, opened.sender)
            if envelope.verify(owner, keys, data):
                header = envelope.header_of(self.network, 0, own)
                answer = envelope.seal(owner, header, keys, frame)
                asyncio.get_running_loop().call_later(self.after_s, at.send, answer, source)


@pytest.mark.parametrize("after_s", [0.0, 0.5])
def test_a_stranger_that_moves_to_and_fro_does_not_set_how_long_others_are_waited_for(
    after_s: float,
) -> None:
    """Each move is followed by a ping; of answers at once the node took all others for lost, and
    of late ones it waited for the dead as long."""

    async def scene(world: World) -> None:
        member = await used_to_others(world)
        stranger = Pongs(world, after_s=after_s)
        ports = [stranger.endpoint, world.net.endpoint(Address(HOST, 7401))]
        for at in ports:
            await at.open(partial(stranger.take, at=at), Supervisor())
        rtt = member.dht.rpc.calls.rtt
        before = rtt.timeout_s
        for turn in range(100):
            frame = bytes((datagram.REQUEST,)) + turn.to_bytes(20, "big")
            frame += msgspec.msgpack.encode(Ping())
            ports[turn % 2].send(stranger.seal(member.public_key, frame), member.address)
            await asyncio.sleep(0.3)
        assert sum(stranger.came.values()) > 30
        assert rtt.timeout_s == before

    play(scene)


def test_publishers_that_answer_only_what_is_sent_again_do_not_narrow_the_window() -> None:
    """An index node asks each new publisher whether it lives, and keys are free: those of one
    machine left it six requests at a time, and made each lookup wait for the dead."""

    async def scene(world: World) -> None:
        member = await used_to_others(world)
        calls = member.dht.rpc.calls
        before, stranger = calls.window.limit, Pongs(world, sends=2)
        at = stranger.endpoint
        await at.open(partial(stranger.take, at=at), Supervisor())
        for turn in range(240):
            name = b"publisher %d" % turn
            stranger.owners.append(SimCrypto(name, name))
            key = DhtKey(world.rng.randbytes(20))
            stranger.provide(member, key, name, lifetime_s=40 * HOUR_S)
            await asyncio.sleep(1)
        assert len(stranger.came) > 70
        assert calls.window.limit == before
        assert calls.rtt.patience_s == 0.0

    play(scene)
