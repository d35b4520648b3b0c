"""An attack: who takes part, from when to when, and what they do of their own accord."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from functools import partial
from typing import Protocol

from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import DhtKey, node_id
from dhtstore.params import NODE_ID_BYTES
from dhtstore.tasks import Supervisor, tell_the_loop
from dhtstore.wire.datagram import pack_contact
from simulations.events.adversary.answers import Mask
from simulations.events.adversary.gang import (
    Accomplice,
    Gang,
    Pair,
    contact_record,
    provider_record,
    unused_address,
)
from simulations.events.adversary.grinding import bits_against, ground_secret
from simulations.events.adversary.made_up_node import MadeUpNode
from simulations.events.adversary.masked_ports import masked
from simulations.nodes.population import Member, Population
from simulations.sections.adversary import AdversarySettings
from simulations.seeds import derived_seed
from simulations.world.ports.crypto import SimSigner

_LOOK_EVERY_S = 10.0  # for the object whose key is attacked
_PUBLISH_TIMEOUT_S = 15.0
_HOUR_S = 3600.0
_PUBLISHING = ("stuff", "replay", "forge")


class Scene(Protocol):
    """What an attack needs of the world that it strikes."""

    async def until(self, since_begin_s: float) -> None:
        """Wait for a time of the scenario."""

    def key_of(self, object_number: int) -> bytes | None:
        """The DHT key of an object; None before it was put."""

    def newcomer(self, node_secret: bytes) -> Member:
        """One more machine with that secret and the links of the scenario."""


class Attack:
    """Some nodes of a population, chosen by the seed, are adversaries from the start and behave as
    honest ones until the attack begins; others join then.  Each behaves in one way, in turn."""

    def __init__(self, settings: AdversarySettings, population: Population, seed: int) -> None:
        self._settings, self._population, self._seed = settings, population, seed
        self.gang = Gang(random.Random(seed))
        self.masks: list[Mask] = []
        self._made_up: dict[int, list[MadeUpNode]] = {}
        self._tasks = Supervisor(on_failure=tell_the_loop)
        self.key: bytes | None = None
        self.began_s, self.begun = math.inf, asyncio.Event()
        self._nodes = len(population.members)
        chosen = random.Random(derived_seed(seed, "adversary")).sample(
            range(self._nodes), round(settings.share * self._nodes)
        )
        for number in sorted(chosen):
            self._disguise(population.members[number])

    def _disguise(self, member: Member) -> None:
        behaviours = self._settings.behaviours
        me, network = _accomplice(member), member.settings.network
        mask = Mask(self.gang, me, network, behaviours[len(self.masks) % len(behaviours)])
        self.gang.accomplices.append(me)
        self.masks.append(mask)
        member.disguise = partial(masked, mask=mask, forget_after_s=self._settings.forget_after_s)

    # --- its course -------------------------------------------------------------------------

    @property
    def target(self) -> int | None:
        """The number of the object whose key is attacked."""
        return self._settings.target

    async def run(self, scene: Scene, chance: int) -> None:
        """Begin when it is time and end when it is over; ``chance`` decides what is drawn."""
        settings = self._settings
        if not settings.attacks:
            return
        self.gang.rng.seed(derived_seed(chance, "adversary/answers"))
        if settings.target is None and settings.ground:
            self.key = self.gang.rng.randbytes(NODE_ID_BYTES)
        await scene.until(settings.at_s)
        if settings.target is not None:
            self.key = await self._key_of(scene, settings.target)
        await self._bring_in(scene)
        self.gang.active, self.began_s = True, self._population.loop.time()
        self.begun.set()
        for mask in self.masks:
            if mask.behaviour in _PUBLISHING:
                rng = random.Random(derived_seed(chance, f"adversary/{mask.me.number}"))
                self._tasks.spawn(self._act(mask, rng), f"{mask.behaviour} of {mask.me.number}")
        if settings.lasting_s is not None:
            await scene.until(settings.at_s + settings.lasting_s)
            await self.close()

    async def close(self) -> None:
        """End it: they are honest again, and made-up nodes answer no more."""
        self.gang.active = False
        await self._tasks.close()
        made_up = [node for nodes in self._made_up.values() for node in nodes]
        self._made_up.clear()
        for node in made_up:
            await node.close()
            self._population.made_up[node.id] = self._population.loop.time()

    async def _key_of(self, scene: Scene, wanted: int) -> bytes:
        """The key of an object, once that was put."""
        while True:
            key = scene.key_of(wanted)
            if key is not None:
                return key
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _bring_in(self, scene: Scene) -> None:
        """Machines with ids near the key join, before anybody attacks."""
        bits = bits_against(self._nodes)
        for number in range(self._settings.ground):
            assert self.key is not None, "it was drawn"
            member = scene.newcomer(ground_secret(self._seed, number, self.key, bits))
            self._disguise(member)
            await self._population.start(member.number)
            with contextlib.suppress(DhtstoreError):  # a fault struck it meanwhile
                await self._population.join(member.number)

    # --- of their own accord ----------------------------------------------------------------

    async def _act(self, mask: Mask, rng: random.Random) -> None:
        """Now and then, at random times."""
        member = self._population.members[mask.me.number]
        if mask.behaviour == "stuff":
            await self._make_up(mask, member, rng)
        while True:
            await asyncio.sleep(rng.expovariate(self._settings.records_per_h / _HOUR_S))
            if member.node is None:
                continue
            if mask.behaviour == "stuff":
                self._introduce(mask, rng)
            elif mask.behaviour == "replay" and self.gang.datagrams:
                self._send_again(member, rng)
            pair = self._record(mask, rng)
            if pair is not None:
                await self._publish(mask, member, pair)

    async def _publish(self, mask: Mask, member: Member, pair: Pair) -> None:
        """Store a record where it belongs, as a provider would."""
        key, provide = DhtKey(pair[0].key), member.running.dht.provide
        work = provide(key, [pair], timeout_s=_PUBLISH_TIMEOUT_S)
        with contextlib.suppress(DhtstoreError):
            (published,) = await self._population.run(member.number, work, mask.behaviour)
            mask.acts()
            for why, times in published.refusals.items():
                self.gang.was_refused(f"{mask.behaviour}: {why}", times)

    def _record(self, mask: Mask, rng: random.Random) -> Pair | None:
        """What it publishes next; None while it has overheard nothing."""
        if mask.behaviour == "stuff":
            return self._of_nobody(mask, rng)
        heard = self.gang.overheard()
        if not heard:
            return None
        old = rng.choice(heard)
        return old if mask.behaviour == "replay" else mask.forgery(self.key or old[0].key)

    def _of_nobody(self, mask: Mask, rng: random.Random) -> Pair:
        """Keys cost nothing, and no node is at its address."""
        signer, now_s = SimSigner(rng.randbytes(NODE_ID_BYTES)), mask.me.clock.unix_s()
        key = self.key or rng.randbytes(NODE_ID_BYTES)
        contact = contact_record(unused_address(rng), 1, mask.network, signer, now_s)
        return provider_record(key, mask.network, signer, now_s), contact

    def _send_again(self, member: Member, rng: random.Random) -> None:
        """A datagram that was heard, as it was, to somebody whom it was not for."""
        others = [one for one in self._population.up() if one.disguise is None]
        if others:
            data, to = rng.choice(self.gang.datagrams), rng.choice(others)
            member.running.ports.endpoint.send(data, to.address)

    # --- made-up nodes ----------------------------------------------------------------------

    async def _make_up(self, mask: Mask, member: Member, rng: random.Random) -> None:
        network, host = self._population.network, member.address.host
        nodes = self._made_up.setdefault(member.number, [])
        for number in range(1, self._settings.identities + 1):
            address = Address(host, member.address.port + number)
            network.machine(address).place = network.machine(member.address).place
            node = MadeUpNode(
                rng, network.endpoint(address), mask.network, self.gang,
                lambda: member.node is not None,
            )  # fmt: skip
            await node.open(self._tasks)
            nodes.append(node)
            self._population.made_up[node.id] = math.inf

    def _introduce(self, mask: Mask, rng: random.Random) -> None:
        """Each made-up node to somebody."""
        others = [one for one in self._population.up() if one.disguise is None]
        for node in self._made_up[mask.me.number] if others else ():
            node.introduce_itself(_contact(rng.choice(others)))
            mask.acts()


def _contact(member: Member) -> Contact:
    key = member.crypto.node.public_key
    return Contact.of(key, member.address, storage=member.settings.storage)


def _accomplice(member: Member) -> Accomplice:
    signer, settings, address = member.crypto.node, member.settings, member.address

    def record_now() -> ContactRecord:
        now_s = member.clock.unix_s()
        return contact_record(address, settings.capacity_bytes, settings.network, signer, now_s)

    long_id = int.from_bytes(node_id(signer.public_key), "big")
    contact = pack_contact(_contact(member))
    return Accomplice(member.number, long_id, contact, record_now, signer, member.clock)
