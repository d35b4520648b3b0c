"""Mutated datagrams against a node among honest ones, in memory and in virtual time.

Everything comes with valid MACs from keys that speak for themselves only, unless the outside itself
is what is mutated: what a datagram's inside may do decides itself behind its MAC.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from dhtstore.dht.core.peer import Peer
from dhtstore.errors import DhtstoreError
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FRAME_OVERHEAD_BYTES
from tests.fuzz.findings import Broken, Report
from tests.fuzz.mutator import Mutator
from tests.fuzz.speaker import KEY, Speaker, answers, odd_records, requests
from tests.unit.dht.world import Member, World, play

HONEST: Final = 12
SPEAKERS: Final = 24
BATCH: Final = 250  # datagrams between two looks
BATCH_S: Final = 2.0  # of virtual time: 125 datagrams a second
OBJECTS_MORE_MAX: Final = 30_000  # tracked by the collector, of all that came after the start
SETTLE_S: Final = 30.0
ENTITLED: Final = 4  # speakers that are asked, and so may get into the table by a good answer


class DatagramFuzz:
    """One run; ``check`` raises Broken."""

    def __init__(self, world: World, report: Report, seed: int) -> None:
        self.world, self.report, self.rng = world, report, random.Random(seed)
        self.target: Member
        self.speakers: list[Speaker] = []
        self.good: list[bytes] = []
        self._ways: tuple[tuple[float, Callable[[], None]], ...] = (
            (0.45, self.asks), (0.65, self.outside), (0.92, self.answers), (1.0, self.challenges),
        )  # fmt: skip

    async def open(self) -> None:
        members = await self.world.grow(HONEST)
        self.target = members[0]
        self.speakers = [Speaker(number, self.target) for number in range(SPEAKERS)]
        await asyncio.sleep(SETTLE_S)
        self.honest = {contact.node: contact for contact in self.target.dht.contacts()}
        self.to = self.target.contact.public_key
        self._renew()

    def _renew(self) -> None:
        """Records are of now."""
        self.issued_s = int(self.target.clock.unix_s())
        self.good = [each for one in self.speakers for each in requests(one, self.issued_s)]
        self.mutator = Mutator(self.rng, self.good)

    async def run(self, count: int) -> None:
        """Deliver ``count`` datagrams; raises Broken."""
        await self.open()
        objects = 0
        for done in range(0, count, BATCH):
            for _ in range(min(BATCH, count - done)):
                dice = self.rng.random()
                next(way for below, way in self._ways if dice < below)()
            await asyncio.sleep(BATCH_S)
            if done // BATCH % 200 == 0:
                self._renew()
                self.check()
                self.world.events.clear()  # of the tests' own
                objects = objects or _tracked()
        await asyncio.sleep(SETTLE_S)
        self.check()
        self.world.events.clear()
        if (more := _tracked() - objects) > OBJECTS_MORE_MAX:
            raise Broken(f"{more} objects more than at first")
        for outcome, times in self.target.dht.counters.items():
            self.report.count(outcome, times)

    # --- what is delivered ------------------------------------------------------------------

    def deliver(self, kind: str, data: bytes, source: Speaker) -> None:
        arrive = self.target.endpoint.on_datagram
        self.report.feed(kind, data, lambda raw: arrive(raw, source.address))

    def asks(self) -> None:
        """A request that is mutated, or the records in it before they are signed."""
        rng, speaker = self.rng, self.rng.choice(self.speakers)
        if rng.random() < 0.3:
            payload = odd_records(speaker, self.issued_s, self.mutator)
        else:
            payload = self.mutator.message(rng.choice(self.good))
        flags = rng.choice((0, envelope.STORAGE, envelope.EPHEMERAL, envelope.PROVED, 0xE0))
        cookie = b"" if rng.random() < 0.7 else self._cookie(speaker)
        data = speaker.request(self.to, rng, payload, flags=flags, cookie=cookie)
        self.deliver("request", data, speaker)

    def _cookie(self, speaker: Speaker) -> bytes:
        """The one that the target gave to that address."""
        sessions, now = self.target.dht.rpc.channel.sessions, self.target.clock.monotonic_s()
        told = sessions.challenge(bytes(envelope.MESSAGE_ID_BYTES), speaker.address, now)
        challenge = envelope.parse_challenge(told or b"")
        return challenge.cookie if challenge else b""

    def outside(self) -> None:
        """A datagram that is mutated as it is, or nothing but noise behind the right prefix."""
        rng, speaker = self.rng, self.rng.choice(self.speakers)
        if rng.random() < 0.2:
            noise = rng.randbytes(rng.randrange(datagram.PAYLOAD_MAX_BYTES))
            data = self.world.network.datagram_prefix + noise
        else:
            frame = bytes((rng.randrange(4),)) + rng.randbytes(20) + rng.choice(self.good)
            cookie = rng.randbytes(16) if rng.random() < 0.3 else b""
            data = self.mutator.raw(speaker.seal(self.to, frame, cookie=cookie))
        self.deliver("outside", data, speaker)

    def answers(self) -> None:
        """A mutated answer to what the target asks."""
        rng, speaker = self.rng, self.rng.choice(self.speakers[:ENTITLED])
        request = rng.choice(_ASKED)(speaker)
        message_id = self._begin(speaker, request)
        good = answers(request, speaker, self.issued_s, rng.sample(self.speakers, 3))
        payload = self.mutator.message(good)
        flags = rng.choice((0, envelope.STORAGE, envelope.EPHEMERAL, envelope.PROVED))
        data = speaker.answer(self.to, message_id, payload, flags=flags)
        self.deliver("answer", data, speaker)
        self._end()

    def challenges(self) -> None:
        """A mutated challenge to what the target asks."""
        rng, speaker = self.rng, self.rng.choice(self.speakers[:ENTITLED])
        message_id = self._begin(speaker, datagram.Ping())
        good = envelope.challenge(
            self.world.network, speaker.contact.public_key, message_id, rng.randbytes(16)
        )
        data = good if rng.random() < 0.3 else self.mutator.raw(good)
        self.deliver("challenge", data, speaker)
        self._end()

    def _begin(self, speaker: Speaker, request: datagram.Request) -> bytes:
        self._call = self.target.dht.rpc.calls.ask(speaker.peer, request, _nobody)
        return self._call.message_id or self.rng.randbytes(20)

    def _end(self) -> None:
        self.target.dht.rpc.calls.forget(self._call)

    # --- what must hold ---------------------------------------------------------------------

    def check(self) -> None:
        """Raises Broken."""
        dht = self.target.dht
        table = {contact.node: contact for contact in dht.contacts()}
        lost = [node for node, contact in self.honest.items() if table.get(node) != contact]
        entitled = {one.contact.node for one in self.speakers[:ENTITLED]}
        rules = {
            f"{len(lost)} honest contacts are gone or elsewhere": bool(lost),
            "strangers are in the table": bool(table.keys() - self.honest.keys() - entitled),
            "an input was a defect": "defects" in dht.counters,
            f"records that nobody signed: {dht.records_held}": not self._signed(),
            f"{dht.rpc.calls.in_flight} requests in flight": dht.rpc.calls.in_flight > 64,
            "a duty ended": bool(self.world.failed_duties),
            "an error nobody saw": bool(self.world.loop.unhandled),
        }
        for what, broken in rules.items():
            if broken:
                raise Broken(what)

    def _signed(self) -> bool:
        """Whether all that is kept is signed, and no more than the speakers and members are."""
        keeper, held = self.target.dht.rpc.keeper, self.target.dht.records()
        return len(held) < 1000 and all(keeper.signed(each.record) for each in held)


class Astray:
    """A node whose every neighbour answers its lookups with something mutated."""

    def __init__(self, world: World, report: Report, seed: int) -> None:
        self.world, self.report, self.rng = world, report, random.Random(seed)

    async def run(self, count: int) -> None:
        """Until ``count`` answers have come; raises what a lookup may not raise."""
        (self.target,) = await self.world.grow(1)
        self.speakers = [Speaker(number, self.target) for number in range(SPEAKERS)]
        self.by_address = {each.address: each for each in self.speakers}
        for speaker in self.speakers:
            endpoint = self.world.net.endpoint(speaker.address)
            await endpoint.open(self._asked_at(speaker, endpoint.send), self.target.duties)
        self.mutator = Mutator(self.rng, requests(self.speakers[0], 1))
        self.lying = False
        while self.report.inputs < count:
            await self._once()
        await asyncio.sleep(SETTLE_S)
        if self.target.dht.rpc.calls.in_flight:
            raise Broken("requests are left in flight")

    async def _once(self) -> None:
        dht, rng, key = self.target.dht, self.rng, KEY
        self.issued_s = int(self.target.clock.unix_s())
        self.lying = False
        some = rng.sample(self.speakers, 4)
        await dht.bootstrap([each.contact for each in some])
        self.lying = True
        record = self.target.provider_record(key, sequence=self.issued_s)
        pair = (record, self.target.contact_record())
        tried: list[Callable[[], Awaitable[object]]] = [
            lambda: dht.lookup(rng.randbytes(20), timeout_s=9),
            lambda: dht.find_providers(key, wanted=3, timeout_s=9),
            lambda: dht.find_contact(some[0].contact.node, timeout_s=9),
            lambda: dht.provide(key, [pair], timeout_s=9),
            lambda: dht.withdraw(key, timeout_s=9),
            self._sweep,
        ]
        for operation in rng.sample(tried, len(tried)):
            try:
                await operation()
            except DhtstoreError as error:
                self.report.count(type(error).__name__)

    async def _sweep(self) -> None:
        seen = await self.target.dht.explore(KEY, timeout_s=9)
        await self.target.dht.provide_many(seen, [KEY], timeout_s=9)

    def _asked_at(self, speaker: Speaker, send: Callable[..., bool]) -> Callable[..., None]:
        def on_datagram(data: bytes, source: Any) -> None:
            opened = envelope.parse(data)
            if opened is None or opened.frame[0] != datagram.REQUEST:
                return
            head, asked = opened.frame[1:FRAME_OVERHEAD_BYTES], opened.frame[FRAME_OVERHEAD_BYTES:]
            request = datagram.decode_request(asked)
            near = self.rng.sample(self.speakers, 6)
            dice = self.rng.random() if self.lying else 1.0
            odd = self.mutator if dice < 0.4 else None
            payload = answers(request, speaker, self.issued_s, near, odd)
            if 0.3 < dice < 0.8:
                payload = self.mutator.message(payload)
            self.report.inputs += 1
            sealed = speaker.answer(opened.sender, head, payload[: datagram.PAYLOAD_MAX_BYTES])
            send(sealed, source)

        return on_datagram


_ASKED: Final[tuple[Callable[[Speaker], datagram.Request], ...]] = (
    lambda speaker: datagram.Ping(),
    lambda speaker: datagram.FindNode(KEY),
    lambda speaker: datagram.GetProviders(KEY, 0),
    lambda speaker: datagram.FindContact(speaker.contact.node),
    lambda speaker: datagram.StoreContact(b""),
    lambda speaker: datagram.FindPolicy(KEY),
    lambda speaker: datagram.StorePolicy(b""),
    lambda speaker: datagram.AddProviders([b"", b""], b""),
)


def _tracked() -> int:
    gc.collect()
    return len(gc.get_objects())


def _nobody(peer: Peer, response: object) -> None:
    """Waits for that."""


def fuzz_datagrams(count: int, seed: int) -> Report:
    """Nine tenths one by one, and a tenth as answers to whole lookups."""
    report = Report()
    for run, share in _shares(report, count, seed):
        before = report.inputs
        try:
            play(run, seed=seed)
        except Exception as error:
            report.found("run", repr(error), b"")
        report.count(share, report.inputs - before)
    return report


def _shares(report: Report, count: int, seed: int) -> Iterable[tuple[Callable[[World], Any], str]]:
    yield lambda world: DatagramFuzz(world, report, seed).run(count - count // 10), "one by one"
    sooner = report.inputs + count // 10
    yield lambda world: Astray(world, report, seed).run(sooner), "in lookups"
