"""Holders whose addresses change while they run, and while they are down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from dhtstore.model.contact import Address
from dhtstore.model.unit import Unit
from dhtstore.node.node import Node
from dhtstore.store.ledger.memory import MemoryKeyValue
from simulations.world.ports.clock import SimClock
from simulations.world.ports.interfaces import SimInterfaces
from tests.simulation.harness import CLIENT, Lab, address_of, put_with, tell, ticket_of, units_of

GONE = "10.99.99.99"  # nobody is there
CONTENT = b"some content"


class Roaming(Node):
    """Tells what its interfaces say, whatever the socket of a simulated machine is bound to."""

    @property
    def roams(self) -> bool:
        return True

    def addresses(self) -> tuple[Address, ...]:
        port = self.ports.endpoint.local.port
        return tuple(Address(host, port) for host in self.ports.interfaces.hosts())


async def _roaming_holder(lab: Lab, interfaces: SimInterfaces) -> Node:
    """The only storage node of five."""
    await lab.add(CLIENT)
    holder = lab.build(make=Roaming, interfaces=interfaces)
    await holder.start()
    await holder.join([ticket_of(lab.nodes[0])])
    for _ in range(3):
        await lab.add(CLIENT)
    return holder


async def _told(lab: Lab, units: Sequence[Unit]) -> list[tuple[Address, ...]]:
    """Where a node that is new finds the holders of the units."""
    asking = await lab.add(CLIENT)
    found = [await asking.dht.find_providers(unit.key, wanted=5, timeout_s=15) for unit in units]
    contacts = [each.contact for one in found for each in one.providers]
    return [contact.address_list() for contact in contacts if contact]


def test_a_new_lease_reaches_the_records_of_old_and_new_puts() -> None:
    async def story(lab: Lab) -> None:
        interfaces = SimInterfaces(GONE)
        holder = await _roaming_holder(lab, interfaces)
        uploader = lab.nodes[-1]
        before = await put_with(uploader, CONTENT, replicas=1)
        stale = (Address(GONE, address_of(holder).port),)
        assert await _told(lab, units_of(holder, before)) == [stale]
        interfaces.become(address_of(holder).host)
        after = await put_with(uploader, CONTENT * 2, replicas=1)  # over a link of before
        assert await _told(lab, units_of(holder, after)) == [(address_of(holder),)]
        await asyncio.sleep(5)
        assert await _told(lab, units_of(holder, before)) == [(address_of(holder),)]

    tell(story)


def test_a_get_finds_a_holder_whose_record_leads_to_where_it_was() -> None:
    async def story(lab: Lab) -> None:
        holder = await _roaming_holder(lab, SimInterfaces(GONE))
        result = await put_with(lab.nodes[-1], CONTENT, replicas=1)
        reader = lab.nodes[-2]
        started_s = lab.loop.time()
        async with reader.fetch_session() as session:
            assert (await session.units(result.cid))[0].key == units_of(holder, result)[0].key
        assert lab.loop.time() - started_s < 2

    tell(story)


@pytest.mark.parametrize("ledger", ["kept", "lost"])
def test_a_restart_by_a_clock_that_went_back_is_found_at_its_new_address(ledger: str) -> None:
    """Found as an old address that stayed in force, because the record of before was newer."""

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        before = lab.nodes[-1]
        await before.stop()
        back = SimClock(lab.loop, skew_s=-600.0)
        parts: dict[str, Any] = {"ledger": MemoryKeyValue()} if ledger == "lost" else {}
        after = await lab.again(before, clock=back, **parts)
        await asyncio.sleep(5)
        asking = await lab.add(CLIENT)
        record = await asking.dht.find_contact(after.node_id, timeout_s=15)
        assert record is not None
        assert record.address_list() == (address_of(after),)
        assert address_of(after) != address_of(before)

    tell(story)
