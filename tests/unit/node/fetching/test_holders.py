"""What a command knows of holders, over all its fetches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dhtstore.errors import LocalProtocolError, Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey, format_node, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.holders import Holders
from dhtstore.node.fetching.search import Finds
from dhtstore.node.fetching.searching.unit_holders import UnitHolders
from dhtstore.node.links.link import Link
from dhtstore.operations.explaining.causes import Cause, CauseKind
from dhtstore.params import LOOKUPS_PER_UNIT_MAX, PROVIDERS_PER_KEY_MAX
from tests.unit.node.data_plane import World, connected, play
from tests.unit.node.fetching.walks import UNIT, nowhere

OTHER_UNIT = Unit.of((Cid.of(b"other"),), 0)
SOMEBODY = PublicKey(bytes(32))
Found = Sequence[Link | PublicKey]


@dataclass
class Scripted:
    """A search that finds the next of ``finds`` each time: links, or keys of the unreachable."""

    finds: list[Found]

    async def search(self, unit: Unit, finds: Finds) -> None:
        for one in self.finds.pop(0):
            if isinstance(one, Link):
                finds.connected(one)
            else:
                finds.unreached(one, Cause(CauseKind.DIAL_TIMEOUT, "no answer"), nowhere)


@dataclass
class Log:
    """A listener that writes down what it hears."""

    heard: list[str] = field(default_factory=list)

    def holder_found(self, key: PublicKey, unit: Unit) -> None:
        self.heard.append("found")

    def holder_lost(self, key: PublicKey, why: str) -> None:
        self.heard.append(f"lost: {why}")

    def search_ended(self, known: UnitHolders | None) -> None:
        self.heard.append("ended")

    def holder_rests(self) -> None:
        self.heard.append("rests")


async def searched(holders: Holders, unit: Unit = UNIT) -> None:
    holders.search(holders.of(unit))
    await asyncio.sleep(1)
    assert not holders.of(unit).searching


def test_holders_of_a_unit_stay_known_for_the_next_fetch() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world)
        holders, log = Holders(Scripted([[link]])), Log()
        holders.attach(log)
        await searched(holders)
        holders.detach()
        assert log.heard == ["found", "ended"]
        assert list(holders.of(UNIT).keys) == [link.public_key]
        assert holders.link(link.public_key) is link
        assert list(holders.of(OTHER_UNIT).keys) == []
        assert holders.record.connected == [format_node(link.node)]
        await holders.close()

    play(scene)


def test_whoever_sent_wrong_bytes_is_never_found_again() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world)
        holders, log = Holders(Scripted([[link], [link]])), Log()
        holders.attach(log)
        await searched(holders)
        holders.ban(link, "lied")
        await searched(holders)
        assert log.heard == ["found", "ended", "lost: lied", "ended"]
        assert list(holders.of(UNIT).keys) == []
        assert holders.record.causes == {format_node(link.node): "lied"}
        await holders.close()

    play(scene)


def test_whoever_turned_a_request_down_may_be_found_again() -> None:
    async def scene(world: World) -> None:
        _, _, link = await connected(world)
        holders, log = Holders(Scripted([[link], [link]])), Log()
        holders.attach(log)
        await searched(holders)
        holders.drop(link, Cause(CauseKind.REFUSED, "busy"))
        await searched(holders)
        assert log.heard == ["found", "ended", "lost: busy", "found", "ended"]
        [share] = holders.record.shares()
        assert share.cause == Cause(CauseKind.REFUSED, "busy")
        await holders.close()

    play(scene)


def test_a_link_that_ended_makes_room_for_another_to_the_same_node() -> None:
    async def scene(world: World) -> None:
        a, b, first = await connected(world)
        first.abandon()
        second = await a.links.to(b.key, [b.address], 5.0)
        holders, log = Holders(Scripted([[first], [second]])), Log()
        holders.attach(log)
        await searched(holders)
        await searched(holders)
        assert holders.link(b.key) is second
        assert log.heard == ["found", "ended", "lost: the connection ended", "found", "ended"]
        await holders.close()

    play(scene)


@pytest.mark.parametrize("found", [[], [SOMEBODY]])
def test_a_search_that_finds_nobody_is_the_last(found: list[PublicKey]) -> None:
    async def scene(world: World) -> None:
        holders = Holders(Scripted([found]))
        await searched(holders)
        known = holders.of(UNIT)
        assert bool(known.found) == bool(found)
        assert known.searches == (1 if found else LOOKUPS_PER_UNIT_MAX)
        name = format_node(node_id(SOMEBODY))
        assert holders.record.unreached == ({name: "no answer"} if found else {})
        await holders.close()

    play(scene)


def test_searches_go_on_while_they_find_others_but_not_for_ever() -> None:
    def key(number: int) -> PublicKey:
        return PublicKey(number.to_bytes(32, "big"))

    async def scene(world: World) -> None:
        crowd = [[key(number)] for number in range(PROVIDERS_PER_KEY_MAX)]
        holders = Holders(Scripted([*crowd[:9], crowd[0], *crowd[9:]]))
        known = holders.of(UNIT)
        for number in range(1, PROVIDERS_PER_KEY_MAX + 1):
            await searched(holders)
            enough = number == 10  # the tenth finds the first again
            assert known.exhausted == enough, number
        await searched(holders)
        assert len(known.found) == PROVIDERS_PER_KEY_MAX
        assert known.exhausted
        await holders.close()

    play(scene)


def test_a_search_is_told_who_had_a_chance_already() -> None:
    seen: list[tuple[list[PublicKey], list[PublicKey], list[bool]]] = []

    class Watching(Scripted):
        async def search(self, unit: Unit, finds: Finds) -> None:
            keys = list(finds.tried)
            seen.append((keys, list(finds.banned), [finds.gave(key) for key in keys]))
            await Scripted.search(self, unit, finds)

    async def scene(world: World) -> None:
        a, b, lacking = await connected(world)
        c = await world.peer("c")
        liar = await a.links.to(c.key, [c.address], 5.0)
        holders = Holders(Watching([[lacking], [liar, SOMEBODY], [], []]))
        await searched(holders)
        holders.account(b.key).delivered += 1
        await searched(holders)
        holders.ban(liar, "lied")
        await searched(holders)
        await searched(holders, OTHER_UNIT)
        assert seen == [
            ([], [], []),
            ([b.key], [], [True]),
            ([b.key, c.key, SOMEBODY], [c.key], [True, False, False]),
            ([c.key, SOMEBODY], [c.key], [False, False]),
        ]
        await holders.close()

    play(scene)


def test_a_search_that_fails_ends_the_fetch_that_asks_next() -> None:
    class Failing:
        async def search(self, unit: Unit, finds: Finds) -> None:
            raise LocalProtocolError("a defect")

    async def scene(world: World) -> None:
        holders = Holders(Failing())
        holders.check()
        holders.search(holders.of(UNIT))
        await asyncio.sleep(1)
        with pytest.raises(LocalProtocolError):
            holders.check()
        await holders.close()

    play(scene)


def test_a_search_that_nobody_answers_is_the_last_and_says_so() -> None:
    class Unanswered:
        async def search(self, unit: Unit, finds: Finds) -> None:
            raise Unreachable("none of 7 known nodes answered")

    async def scene(world: World) -> None:
        holders = Holders(Unanswered())
        await searched(holders)
        holders.check()
        known = holders.of(UNIT)
        assert known.unreachable == "none of 7 known nodes answered"
        assert known.exhausted
        await holders.close()

    play(scene)


def test_two_fetches_at_once_are_refused() -> None:
    async def scene(world: World) -> None:
        holders = Holders(Scripted([]))
        holders.attach(Log())
        with pytest.raises(LocalProtocolError):
            holders.attach(Log())
        holders.detach()
        holders.attach(Log())

    play(scene)


def test_closing_ends_a_search() -> None:
    ended: list[str] = []

    class Endless:
        async def search(self, unit: Unit, finds: Finds) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

    async def scene(world: World) -> None:
        holders = Holders(Endless())
        holders.search(holders.of(UNIT))
        await asyncio.sleep(1)
        await holders.close()
        assert ended == ["cancelled"]

    play(scene)


def test_a_link_that_ends_while_nothing_is_owed_over_it_is_nothing_wrong_with_the_holder() -> None:
    async def scene(world: World) -> None:
        a, b, first = await connected(world)
        first.abandon()
        second = await a.links.to(b.key, [b.address], 5.0)
        holders = Holders(Scripted([[first], [second], []]))
        await searched(holders)
        await searched(holders)
        assert [share.cause for share in holders.record.shares()] == [None]
        holders.account(b.key).ask(1)
        holders.drop(second, Cause(CauseKind.LOST, "the connection ended"))
        [share] = holders.record.shares()
        assert share.cause == Cause(CauseKind.LOST, "the connection ended")
        await holders.close()

    play(scene)
