"""What a search believes of answers, and how much of it comes from one node."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.engine.crawl import Crawl
from dhtstore.dht.engine.harvest import Provider, ProviderHarvest
from dhtstore.dht.engine.holding.keeping import RecordKeeper
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import dht_key
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import attach
from dhtstore.params import PROVIDERS_PER_ANSWER, PROVIDERS_PER_KEY_MAX
from dhtstore.wire.datagram import GetProviders, Provided, Providers
from tests.unit.dht.world import Member, World, play

KEY = dht_key(b"unit")
PAGE = 6  # providers, about as many as a datagram has room for


@dataclass
class Pages(Crawl):
    """Writes down which pages are asked for."""

    asked: list[tuple[Peer, int]] = field(default_factory=list)

    def ask_page(self, peer: Peer, request: GetProviders) -> None:
        self.asked.append((peer, request.offset))


@dataclass
class Search:
    """A harvest of ``member`` that nobody answers but the test."""

    member: Member
    wanted: int
    named: list[bytes] = field(default_factory=list)
    checked: int = 0
    pages: Pages = field(default_factory=Pages)

    def __post_init__(self) -> None:
        self.keeper = self.member.dht.rpc.keeper
        self.harvest = ProviderHarvest(
            self, KEY, self.wanted, self.member.clock.unix_s, random.Random(1), self._name  # type: ignore[arg-type]
        )  # fmt: skip
        self.harvest.follow(self.pages)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["keeper"], name)  # all but ``signed`` is the keeper's

    def signed(self, record: ProviderRecord | ContactRecord) -> bool:
        self.checked += 1
        return RecordKeeper.signed(self.keeper, record)

    def _name(self, provider: Provider) -> None:
        self.named.append(provider.record.public_key)

    def answer(self, peer: Peer, page: Sequence[Provided], total: int) -> bool:
        return self.harvest.on_answer(peer, Providers(total, list(page), b""))

    def answer_all(self, peer: Peer, provided: Sequence[Provided]) -> None:
        """All pages that are asked for, one after the other."""
        at, asked = 0, -1
        while len(self.pages.asked) > asked and at < len(provided):
            asked = len(self.pages.asked)
            self.answer(peer, provided[at : at + PAGE], len(provided))
            at += PAGE


def right(member: Member, sequence: int = 1) -> Provided:
    record = member.provider_record(KEY, sequence=sequence)
    return Provided(record.packed, member.contact_record().packed)


def wrong(member: Member) -> Provided:
    """Like that of ``member``, but it never signed it."""
    record = member.provider_record(KEY, sequence=7)
    return Provided(attach(record, bytes(64)).packed, None)


def peers_of(members: Sequence[Member]) -> list[Peer]:
    return [member.dht.rpc.table.node for member in members]


def test_nodes_that_lie_do_not_keep_an_honest_one_from_being_heard() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(80)]
        search = Search(members[0], wanted=8)
        for rogue in peers_of(members[1:60]):
            search.answer_all(rogue, [wrong(member) for member in members[10:74]])
        search.answer(peers_of(members)[70], [right(members[75])], 1)
        assert search.named == [members[75].public_key]
        assert search.checked == 59 * PAGE + 2, "one page a node"
        assert search.pages.asked == []

    play(scene)


def test_what_a_node_told_before_its_lie_stands_and_no_more_of_it() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(8)]
        search, liar = Search(members[0], wanted=8), peers_of(members)[1]
        search.answer(liar, [right(member) for member in members[2:4]], 64)
        search.answer(liar, [wrong(members[7])], 64)
        list(search.harvest.take_waiting())
        assert sorted(search.named) == sorted(member.public_key for member in members[2:4])
        assert search.pages.asked == [(liar, 2)]

    play(scene)


def test_who_repeats_itself_is_asked_no_further() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(4)]
        search, pager = Search(members[0], wanted=8), peers_of(members)[1]
        for _ in range(5):
            search.answer(pager, [right(members[2])], 64)
        assert search.pages.asked == [(pager, 1)]

    play(scene)


def test_who_names_enough_is_asked_no_further_and_they_are_found() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(66)]
        search, pager = Search(members[0], wanted=20), peers_of(members)[1]
        search.answer_all(pager, [right(member) for member in members[2:66]])
        assert [offset for _, offset in search.pages.asked] == [PAGE, 2 * PAGE, 3 * PAGE]
        list(search.harvest.take_waiting())
        assert len(search.harvest.providers()) == 20

    play(scene)


def test_records_that_get_newer_and_newer_are_followed_so_far_and_no_further() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(60)]
        search = Search(members[0], wanted=8)
        for sequence, peer in enumerate(peers_of(members[10:]), start=1):
            search.answer(peer, [right(members[2], sequence)], 1)
        search.answer(peers_of(members)[3], [right(members[4])], 1)
        assert search.named == [members[2].public_key, members[4].public_key]
        assert search.checked <= 16 + 2

    play(scene)


def test_one_answer_does_not_take_all_places() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(80)]
        search, (first, second) = Search(members[0], wanted=8), peers_of(members[1:3])
        crowd = [right(member) for member in members[10:74]]
        search.answer_all(first, crowd)
        assert len(search.named) == PROVIDERS_PER_ANSWER
        search.answer(second, [right(members[75])], 1)
        assert search.named[-1] == members[75].public_key
        list(search.harvest.take_waiting())
        assert len(search.named) == 8

    play(scene)


def test_nodes_that_name_a_crowd_leave_room_for_the_others() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(90)]
        search = Search(members[0], wanted=PROVIDERS_PER_KEY_MAX)
        for number, rogue in enumerate(peers_of(members[1:20])):
            crowd = [right(member) for member in members[10:74]]
            search.answer_all(rogue, crowd[number:] + crowd[:number])
        search.answer(peers_of(members)[85], [right(members[75])], 1)
        list(search.harvest.take_waiting())
        assert members[75].public_key in search.named
        assert len(search.named) == PROVIDERS_PER_KEY_MAX

    play(scene)


def test_whom_an_answer_names_first_is_drawn_by_lot() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(20)]
        firsts = set()
        for number in range(2, 12):
            search = Search(members[0], wanted=8)
            search.harvest._rng = random.Random(number)
            search.answer(peers_of(members)[1], [right(member) for member in members[2:8]], 6)
            firsts.add(search.named[0])
        assert len(firsts) > 2

    play(scene)


def test_what_is_kept_here_is_an_answer_like_others() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(20)]
        search = Search(members[0], wanted=8)
        search.keeper.tick()
        for member in members[2:18]:
            search.keeper.keep(member.contact_record())
            search.keeper.keep(member.provider_record(KEY))
        assert not search.harvest.take_local()
        assert len(search.named) == PROVIDERS_PER_ANSWER
        search.answer(peers_of(members)[1], [right(members[19])], 1)
        assert search.named[-1] == members[19].public_key
        list(search.harvest.take_waiting())
        assert len(search.named) == 8
        assert search.checked == 2, "of what came from elsewhere"

    play(scene)
