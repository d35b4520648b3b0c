"""Who counts copies from outside while a node leaves: its own mistakes are none of the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dhtstore.model.cid import Cid
from dhtstore.node.checking.sample import lack_of_sample
from dhtstore.node.links.link import Link
from dhtstore.node.node import Node
from dhtstore.operations.operation import unwatched
from simulations.events.users import put_bytes
from tests.live.observer import Observer
from tests.simulation.harness import CLIENT, Lab, tell, ticket_of
from tests.simulation.stories.test_leaving import CONTENT, holders


async def about_to_leave(lab: Lab) -> tuple[Cid, list[Node], Observer]:
    """What three nodes hold; these and a fourth, of which the first is the one that leaves; who
    asks them in that order."""
    await lab.grow(4)
    nodes = list(lab.nodes)
    client, eye = await lab.add(CLIENT), await lab.add(CLIENT)
    root = (await put_bytes(client, CONTENT)).cid
    nodes.sort(key=lambda node: node not in holders(lab, root))
    return root, nodes, Observer(eye, [ticket_of(each) for each in nodes])


@pytest.mark.parametrize(("first", "counted"), [(0, 4), (3, 2)])
def test_who_is_asked_before_and_after_a_copy_moved_counts_twice_or_never(
    monkeypatch: pytest.MonkeyPatch, first: int, counted: int
) -> None:
    """Never where the node that leaves is asked first, though at each instant there are three: an
    observer that asks all at once counts one too few where that one is slow to answer."""

    async def story(lab: Lab) -> None:
        root, nodes, observer = await about_to_leave(lab)
        said = list[str]()

        async def slowly(*given: Any) -> str:
            said.append(await lack_of_sample(*given))
            if len(said) == 1:
                await nodes[0].leaving.leave(unwatched)
                await nodes[0].collector.collect()
                assert set(holders(lab, root)) == set(nodes[1:])
            return said[-1]

        tickets = [observer.tickets[(first + at) % 4] for at in range(4)]
        asking = replace(observer, tickets=tickets)
        units = await asking.units([str(root)])
        monkeypatch.setattr("tests.live.observer.lack_of_sample", slowly)
        assert await asking.look(units) == [counted]

    tell(story)


def test_whose_connection_ends_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does on a busy machine; it was taken for a node that has no copy."""
    cut = list[Link]()

    async def cut_once(link: Link, *given: Any) -> str:
        if not cut:
            cut.append(link)
            link.abandon("nothing is heard of it")
        return await lack_of_sample(link, *given)

    async def story(lab: Lab) -> None:
        root, nodes, observer = await about_to_leave(lab)
        units = await observer.units([str(root)])
        monkeypatch.setattr("tests.live.observer.lack_of_sample", cut_once)
        assert await observer.look(units) == [3]
        assert cut[0].public_key == nodes[0].public_key

    tell(story)


def test_who_is_gone_counts_for_none() -> None:
    async def story(lab: Lab) -> None:
        root, nodes, observer = await about_to_leave(lab)
        units = await observer.units([str(root)])
        for gone in nodes[:2]:
            lab.crash(gone, silent=False)
        assert await observer.look(units) == [1]
        assert observer.fewest == 1
        assert len(observer.lacks) == 3

    tell(story)
