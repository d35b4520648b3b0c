"""Nodes of today and of an invented next version are one network: each puts to the other, gets
from the other, and keeps for the other what it does not understand all of."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

import dhtstore.node.node
from dhtstore.errors import PeerRefused
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.signing import check
from dhtstore.node.links.link import Link
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings, Ports
from dhtstore.params import FEATURES, KIB, MIB, PROTOCOL_VERSION
from dhtstore.wire.frames import Release, Released
from simulations.events.users import get_bytes, put_bytes
from tests.simulation.harness import (
    Lab,
    address_of,
    check_receipts,
    providers_seen,
    tell,
    ticket_of,
    units_of,
)
from tests.simulation.later_version import (
    FEATURE,
    MORE,
    VERSION,
    LaterIdentity,
    LaterLinks,
    LaterRequest,
    later_ports,
)

Nodes = list[Node]
CONTENT = random.Random(5).randbytes(3 * MIB + 17 * KIB)


async def mixed(lab: Lab, monkeypatch: pytest.MonkeyPatch, pairs: int) -> tuple[Nodes, Nodes]:
    """As many nodes of today as of the next version, in one network."""

    def key_of(address: Address) -> PublicKey:
        return next(node.public_key for node in lab.nodes if address_of(node) == address)

    def make(ports: Ports, settings: NodeSettings) -> Node:
        with monkeypatch.context() as patched:
            patched.setattr(dhtstore.node.node, "Identity", LaterIdentity)
            patched.setattr(dhtstore.node.node, "Links", LaterLinks)
            return Node(later_ports(ports, settings.network, key_of), settings)

    for _ in range(pairs):
        await lab.add()
        await lab.add(make=make)
    await asyncio.sleep(60)
    return lab.nodes[::2], lab.nodes[1::2]


def test_each_puts_to_the_other_and_gets_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        today, later = await mixed(lab, monkeypatch, 3)
        for uploader, others in ((today[0], later), (later[0], today)):
            data = CONTENT + uploader.public_key
            result = await put_bytes(uploader, data, replicas=6)
            check_receipts(lab, result, copies=6)
            for node in others:
                assert await get_bytes(node, result.cid) == data
            [unit] = units_of(uploader, result)
            assert len(await providers_seen(others[1], unit)) == 6

    tell(story)


def test_a_single_copy_is_fetched_by_the_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        today, later = await mixed(lab, monkeypatch, 2)
        for uploader, others in ((today[0], later), (later[0], today)):
            data = CONTENT + uploader.public_key
            result = await put_bytes(uploader, data, replicas=1)
            assert await get_bytes(others[1], result.cid) == data

    tell(story)


def test_records_of_the_next_version_are_handed_on_as_they_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        today, later = await mixed(lab, monkeypatch, 3)
        for node in later:
            own = node.identity.record()
            assert own.features == (*sorted(FEATURES), FEATURE)
            for asking in today:
                found = await asking.dht.find_contact(node.node_id, timeout_s=15)
                assert found is not None
                assert found.packed == own.packed

    tell(story)


def test_what_a_later_owner_signed_outlives_a_restart_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        today, later = await mixed(lab, monkeypatch, 2)
        owner = later[0].identity.owner
        result = await put_bytes(later[0], CONTENT, replicas=4)
        await today[1].stop()
        back = await lab.again(today[1], seeds=[ticket_of(today[0])])
        policy = back.ledger.claims.policy(owner, result.cid.raw)
        assert policy is not None
        check(policy, back.settings.network, back.ports.crypto)
        assert msgspec.msgpack.decode(policy.packed[64:])[-len(MORE) :] == list(MORE)
        own = await put_bytes(today[0], CONTENT + b"own", replicas=4)
        for receipt in today[0].ledger.receipts.for_root(own.cid):  # half of them by later holders
            check(receipt, back.settings.network, back.ports.crypto)

    tell(story)


def test_both_ends_of_a_link_use_what_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        today, later = await mixed(lab, monkeypatch, 2)
        for link in (
            await link_between(today[0], later[1]),
            await link_between(later[1], today[1]),
        ):
            assert (link.version, link.features) == (PROTOCOL_VERSION, FEATURES)
        link = await link_between(later[0], later[1])
        assert (link.version, link.features) == (VERSION, FEATURES | {FEATURE})

    tell(story)


def test_a_request_of_the_next_version_is_declined_and_the_link_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        today, later = await mixed(lab, monkeypatch, 2)
        link = await link_between(later[0], today[1])
        for _ in range(3):
            with pytest.raises(PeerRefused) as refused:
                await link.request(LaterRequest(what="news"), Released)
            assert refused.value.code == "unsupported"
        assert (await link.request(Release(reservation=1), Released)) == Released(request=4)
        assert link.alive

    tell(story)


def test_datagrams_of_the_next_version_are_counted_and_cost_nobody_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(lab: Lab) -> None:
        today, _ = await mixed(lab, monkeypatch, 3)
        for node in lab.nodes:
            known = {contact.node for contact in node.dht.contacts()}
            assert known == {other.node_id for other in lab.nodes} - {node.node_id}
        for node in today:
            counters = node.dht.counters
            assert counters["unsupported"] > 0
            assert counters["unknown"] > 0
            assert not counters.keys() & {"malformed", "defects", "forged"}

    tell(story)


async def link_between(a: Node, b: Node) -> Link:
    return await a.links.to(b.public_key, b.addresses(), 5.0)
