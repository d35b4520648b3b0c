"""Seeds that are of another network or show another key, beside some that are good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dhtstore.errors import RefusedByNetwork, Unreachable
from dhtstore.model.contact import Address
from dhtstore.model.network import Network
from dhtstore.node.flows.join import Trust
from dhtstore.node.node import Node
from dhtstore.wire.ticket import Ticket
from tests.simulation.harness import STORAGE, Lab, address_of, tell, ticket_of


async def stranger(lab: Lab) -> Node:
    node = lab.build(replace(STORAGE, network=Network("other")))
    await node.start()
    return node


async def newcomer(lab: Lab) -> Node:
    node = lab.build()
    await node.start()
    return node


def forged(node: Node) -> str:
    """A ticket that says of a node of another network that it is of ours."""
    return str(replace(Ticket.parse(ticket_of(node)), network="main"))


def test_one_seed_of_another_network_costs_only_itself() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        bad, node = await stranger(lab), await newcomer(lab)
        seeds = [ticket_of(bad), forged(bad), str(address_of(bad))]
        joined = await node.join([*seeds, *map(ticket_of, lab.nodes[:3])])
        assert joined.answered == 3
        reasons = list(joined.failures.values())
        assert len(reasons) == 3
        assert "the ticket is for network 'other'" in reasons[0]
        assert "another network than 'main'" in reasons[1]
        assert "another network than 'main'" in reasons[2]

    tell(story)


def test_one_seed_that_shows_another_key_costs_only_itself() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        changed, good, known = lab.nodes
        node, seed = await newcomer(lab), str(address_of(changed))
        trust = Trust(known={seed: known.public_key})
        joined = await node.join([seed, ticket_of(good)], trust)
        assert joined.answered == 1
        assert list(joined.failures) == [seed]
        assert "another key" in joined.failures[seed]

    tell(story)


def test_a_start_that_every_seed_refuses_is_refused_and_names_each() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        bad, node = await stranger(lab), await newcomer(lab)
        with pytest.raises(RefusedByNetwork, match=r"ticket is for .*; .* another network than"):
            await node.join([ticket_of(bad), forged(bad)])
        assert not node.joined.is_set()

    tell(story)


def test_a_seed_that_refuses_beside_one_that_is_silent_is_no_refusal_by_the_network() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(1)
        bad, node = await stranger(lab), await newcomer(lab)
        with pytest.raises(Unreachable, match="another network than"):
            await node.join([forged(bad), str(Address("10.9.9.9", 7400))])

    tell(story)


def test_peers_that_were_saved_start_a_node_whose_only_seed_refuses() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        bad, again = await stranger(lab), lab.nodes[2]
        await again.save_peers()
        joined = await again.join([forged(bad)])
        assert joined.answered == 2
        assert len(joined.failures) == 1

    tell(story)
