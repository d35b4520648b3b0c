"""What a reader makes of what several index nodes say of life and withdrawals."""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.dht.core.peer import Peer
from dhtstore.params import PROVIDER_PROBE_MAX_S, PROVIDERS_PER_ANSWER
from dhtstore.wire.datagram import SILENT_BYTES, Provided, Providers
from tests.unit.dht.test_harvest import KEY, Search, peers_of
from tests.unit.dht.world import Member, World, play

LATELY_S, LONG_AGO_S = 60, int(3 * PROVIDER_PROBE_MAX_S)


def told(member: Member, proved_s: int | None, sequence: int = 1) -> Provided:
    record = member.provider_record(KEY, sequence=sequence)
    return Provided(record.packed, member.contact_record().packed, proved_s)


def taken_back(member: Member) -> Provided:
    return Provided(member.withdrawal(KEY).packed, member.contact_record().packed)


def answer(
    search: Search, peer: Peer, page: Sequence[Provided], silent: Sequence[Member] = ()
) -> None:
    parts = b"".join(one.public_key[:SILENT_BYTES] for one in silent)
    search.harvest.on_answer(peer, Providers(len(page), list(page), b"", parts))


def found(search: Search) -> list[bytes]:
    return [one.record.public_key for one in search.harvest.providers()]


def test_of_one_answer_those_that_proved_lately_that_they_live_are_named_first() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(30)]
        alive, dead = members[10 : 10 + PROVIDERS_PER_ANSWER], members[20:26]
        page = [told(one, None) for one in dead[:3]] + [told(one, LONG_AGO_S) for one in dead[3:]]
        search = Search(members[0], wanted=8)
        answer(search, peers_of(members)[1], [*page, *(told(one, LATELY_S) for one in alive)])
        assert sorted(search.named) == sorted(one.public_key for one in alive)

    play(scene)


def test_whoever_proves_itself_every_second_does_not_come_before_others_that_live() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(60)]
        pushing, honest = members[30:50], members[10:14]
        named = set[bytes]()
        for seed in range(40):
            search = Search(members[0], wanted=8)
            search.harvest._rng.seed(seed)
            page = [*(told(one, 0) for one in pushing), *(told(one, 900) for one in honest)]
            answer(search, peers_of(members)[1], page)
            named.update(search.named)
        assert named >= {one.public_key for one in honest}

    play(scene)


def test_the_newest_proof_that_anybody_tells_decides_the_order() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(12)]
        a, b = members[5:7]
        search = Search(members[0], wanted=8)
        answer(search, peers_of(members)[1], [told(a, 30), told(b, 600)])
        answer(search, peers_of(members)[2], [told(a, 700), told(b, 10)])
        assert found(search) == [b.public_key, a.public_key]

    play(scene)


def test_no_one_node_takes_a_provider_away_by_leaving_it_out_or_calling_it_silent() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(12)]
        alive, fake = members[5:7]
        search = Search(members[0], wanted=8)
        answer(search, peers_of(members)[1], [told(fake, 0)], silent=[alive])
        answer(search, peers_of(members)[2], [told(alive, LATELY_S)])
        answer(search, peers_of(members)[3], [told(fake, 0)])
        assert alive.public_key in found(search)

    play(scene)


def test_one_that_most_call_silent_is_left_out_where_others_are_found_and_only_there() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(12)]
        alive, silent = members[5:7]
        search = Search(members[0], wanted=8)
        answer(search, peers_of(members)[1], [told(silent, 500)])
        for peer in peers_of(members)[2:4]:
            answer(search, peer, [], silent=[silent])
        assert found(search) == [silent.public_key], "better than nobody"
        answer(search, peers_of(members)[4], [told(alive, LATELY_S)])
        assert found(search) == [alive.public_key]

    play(scene)


def test_a_withdrawal_that_one_node_tells_ends_what_others_name_whoever_answers_first() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(12)]
        holder = members[5]
        old, end = told(holder, LATELY_S), taken_back(holder)
        for page in ([old, end], [end, old]):
            search = Search(members[0], wanted=8)
            for peer, one in zip(peers_of(members)[1:], page, strict=False):
                answer(search, peer, [one])
            assert found(search) == []
            [(peer, request)] = search.harvest.corrections()
            assert peer is peers_of(members)[1 + page.index(old)]
            assert request.record == end.record
            answer(search, peers_of(members)[4], [told(holder, LATELY_S, holder.sequence + 1)])
            assert found(search) == [holder.public_key], "it provides again"
            assert not list(search.harvest.corrections())

    play(scene)


def test_a_withdrawal_that_its_signer_never_made_changes_nothing() -> None:
    async def scene(world: World) -> None:
        members = [world.add() for _ in range(12)]
        holder = members[5]
        packed = bytes(64) + holder.withdrawal(KEY).packed[64:]
        search = Search(members[0], wanted=8)
        answer(search, peers_of(members)[1], [told(holder, LATELY_S)])
        answer(search, peers_of(members)[2], [Provided(packed, None)])
        assert found(search) == [holder.public_key]

    play(scene)
