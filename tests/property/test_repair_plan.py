"""Holders that know different things and act at once never do harm together."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.model.identity import DhtKey, NodeId
from dhtstore.params import NODE_ID_BYTES, SPARES_MAX, UNREACHED_MAX
from dhtstore.replication.health.copies import Copy, CopyState, Health, repair_below
from dhtstore.replication.health.past import PeerPast
from dhtstore.replication.health.periods import USUAL_PERIODS as PERIODS
from dhtstore.replication.repair.plan import (
    Act,
    at_once,
    decide,
    may_drop,
    watched,
)

NOW = 1_700_000_000.0
KEY = DhtKey(bytes(NODE_ID_BYTES))
ids = st.binary(min_size=NODE_ID_BYTES, max_size=NODE_ID_BYTES).map(NodeId)
spans = st.floats(0, 10 * PERIODS.grace_max_s)


@st.composite
def pasts(draw: st.DrawFn) -> PeerPast:
    known = NOW - draw(spans)
    away = tuple(draw(st.lists(st.floats(1, 1e6), max_size=8)))
    silent_s = draw(st.one_of(st.just(0.0), spans))
    return PeerPast(known, max(known, NOW - silent_s - 60), NOW, silent_s, away)


@st.composite
def healths(draw: st.DrawFn) -> Health:
    here, *others = draw(st.lists(ids, min_size=1, max_size=9, unique=True))
    copies = [
        Copy(each, draw(pasts()), NOW - draw(spans), draw(st.sampled_from(["", "", "", "gone"])))
        for each in others
    ]
    target = draw(st.integers(1, 8))
    unknown_s = draw(spans) if len(copies) < target - 1 else 0.0
    stays = draw(st.sampled_from(["", "pinned"]))
    away = draw(st.one_of(st.none(), st.floats(0, 1)))
    return Health(KEY, here, target, copies, PERIODS, stays, unknown_s, here_away=away)


@given(healths())
def test_grace_lies_between_its_bounds(health: Health) -> None:
    for copy in health.copies:
        assert PERIODS.grace_min_s <= copy.past.grace_s(PERIODS) <= PERIODS.grace_max_s


@given(healths())
def test_repair_makes_exactly_what_is_missing_and_only_where_there_are_too_few(
    health: Health,
) -> None:
    seen = watched(health, NOW)
    choice = decide(seen, NOW + 100 * PERIODS.turn_s)
    assert 1 <= seen.counted <= max(health.target, 1 + len(health.copies))
    if choice.act is Act.REPAIR:
        assert seen.counted < repair_below(health.target) or seen.spare
        assert seen.counted + choice.missing == max(health.target, seen.counted + seen.spare)
    elif seen.counted < repair_below(health.target):
        raise AssertionError("too few, and after all turns nothing is done")


@given(healths())
def test_a_spare_is_made_only_where_too_often_nobody_is_there(health: Health) -> None:
    seen = watched(health, NOW)
    if not seen.spare:
        return
    assert seen.none_there > UNREACHED_MAX
    likely = [each for each in seen.copies if each.past.ever_answered and each.plausible]
    met = {
        state: sum(each.state(PERIODS) is state for each in likely)
        for state in (CopyState.LIVE, CopyState.AWAY)
    }
    assert 1 + met[CopyState.LIVE] < seen.target  # else nobody takes one
    assert repair_below(seen.target) <= seen.counted
    assert 1 + sum(met.values()) < seen.target + SPARES_MAX
    steady = PeerPast(NOW - 1e9, NOW, NOW)
    new = Copy(NodeId(b"\xff" * NODE_ID_BYTES), steady, NOW)
    assert not watched(replace(seen, copies=[*seen.copies, new]), NOW).spare


@given(healths(), st.sampled_from(["unasked", "silent", "answers"]))
def test_who_never_proved_a_copy_keeps_no_spare_from_being_made(health: Health, does: str) -> None:
    seen = watched(health, NOW)
    if not seen.spare:
        return
    met = PeerPast.met(NOW - 3600.0)
    asked = met.silent(NOW, 7200.0) if does == "silent" else met.answered(NOW, 7200.0)
    ghost = Copy(NodeId(b"\xff" * NODE_ID_BYTES), met if does == "unasked" else asked)
    assert watched(replace(seen, copies=[*seen.copies, ghost]), NOW).spare


@given(healths())
def test_a_holder_waits_a_turn_for_each_live_one_that_is_nearer(health: Health) -> None:
    seen = watched(health, NOW)
    if seen.short_since_unix_s is None:
        return
    turn = seen.rank * PERIODS.turn_s
    assert decide(seen, NOW + turn).act is Act.REPAIR
    if seen.rank:
        early = decide(seen, NOW + turn - 1)
        assert (early.act, early.due_unix_s) == (Act.WAIT, NOW + turn)


@given(healths())
def test_nothing_is_repaired_once_the_missing_are_back(health: Health) -> None:
    back = [
        replace(copy, past=copy.past.answered(NOW, PERIODS.gap_max_s), lacks="")
        for copy in health.copies
    ]
    enough = replace(watched(health, NOW), copies=back, unknown_s=0.0)
    seen = watched(enough, NOW + 1)
    if 1 + len(back) >= health.target:
        assert decide(seen, NOW + 1e9).act is not Act.REPAIR
        assert at_once(seen).act is Act.NOTHING


@given(healths())
def test_silence_alone_takes_a_copy_away_only_after_its_grace(health: Health) -> None:
    for copy in health.copies:
        state = copy.state(PERIODS)
        if state is CopyState.LOST:
            assert copy.past.silent_s >= PERIODS.grace_min_s
        assert (state is CopyState.LACKS) == bool(copy.lacks)


@given(healths())
def test_a_mere_word_stands_in_for_no_copy_that_is_gone(health: Health) -> None:
    gone = Copy(NodeId(b"\xff" * NODE_ID_BYTES), PeerPast.met(NOW), lacks="gone")
    words = [
        Copy(NodeId(bytes([254, n]) + bytes(NODE_ID_BYTES - 2)), PeerPast.met(NOW), by_block=False)
        for n in range(health.target)
    ]
    without = replace(health, copies=[*health.copies, gone], unknown_s=1e12)
    assert replace(without, copies=[*without.copies, *words]).live == without.live
    met = replace(health, copies=words, unknown_s=1e12)
    assert met.counted == 1 + len(words), "nothing is known to be gone"


@given(healths())
def test_who_was_never_there_keeps_nobody_from_seeing_that_its_copy_may_be_the_last(
    health: Health,
) -> None:
    """An index names silent ones, too, and has only their word that they hold it."""
    silent = PeerPast(NOW - 7200.0, NOW - 7200.0, NOW, silent_s=3600.0)
    ghosts = [
        Copy(NodeId(bytes([254, n]) + bytes(NODE_ID_BYTES - 2)), silent, by_block=False)
        for n in range(health.target)
    ]
    alone = replace(health, unknown_s=1e12)
    haunted = replace(alone, copies=[*alone.copies, *ghosts])
    if any(each.proven_unix_s for each in alone.at(CopyState.AWAY)):
        assert haunted.urgent is alone.urgent
        assert not alone.urgent or haunted.counted == alone.counted


class _Holder:
    """One that judges its unit now and then: what it tells of its own copy is what it judged."""

    def __init__(self, node: NodeId, *, pinned: bool) -> None:
        self.node, self.pinned = node, pinned
        self.told_stays, self.freed = False, 0.0
        self.proofs: dict[NodeId, tuple[float, bool]] = {}

    def judge(self, now: float) -> None:
        if self.told_stays and not self.pinned:
            self.freed = now
        self.told_stays = self.pinned

    def may_drop(self, target: int, now: float) -> bool:
        copies = [
            Copy(each, PeerPast.met(now), at, stays=stays)
            for each, (at, stays) in self.proofs.items()
        ]
        stays = "pinned" * self.pinned
        health = Health(KEY, self.node, target, copies, stays=stays, freed_unix_s=self.freed)
        return may_drop(health, now, 0.0)


@settings(max_examples=200)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**32))
def test_holders_that_drop_at_once_never_leave_too_few(target: int, count: int, seed: int) -> None:
    """Each has audited whom it likes within the hour, also before others dropped theirs, and some
    are pinned for a while: then others count on them, also those that are nearer."""
    rng = random.Random(seed)
    nodes = [NodeId(rng.randbytes(NODE_ID_BYTES)) for _ in range(count)]
    holders = {node: _Holder(node, pinned=rng.random() < 0.3) for node in sorted(nodes)}
    now = NOW
    for _ in range(60):
        now += rng.uniform(0, PERIODS.proved_lately_s / 4)
        for one in holders.values():
            if rng.random() < 0.1:
                one.pinned = not one.pinned
            if rng.random() < 0.7:
                one.judge(now)
            for other in holders.values():
                if other is not one and rng.random() < 0.6:
                    one.proofs[other.node] = now, other.told_stays
        judged = [one for one in holders.values() if one.told_stays == one.pinned]
        droppers = [one.node for one in judged if one.may_drop(target, now)]
        for node in droppers:  # all at the same moment
            if rng.random() < 0.7:
                del holders[node]
        assert len(holders) >= min(target, count)


@given(healths())
def test_a_copy_that_stays_lets_the_nearest_drop_theirs(health: Health) -> None:
    """Who put it on its own node is mostly not the nearest, and nobody counted on it."""
    lasting = [
        Copy(NodeId(bytes([255, n]) + bytes(NODE_ID_BYTES - 2)), PeerPast.met(NOW), NOW, stays=True)
        for n in range(health.target)
    ]
    here = replace(health, here=NodeId(bytes(NODE_ID_BYTES)), copies=lasting, stays="")
    assert may_drop(here, NOW, NOW)
    assert not may_drop(replace(here, freed_unix_s=NOW - 2 * PERIODS.proved_lately_s), NOW, NOW)
    assert not may_drop(replace(here, copies=lasting[1:]), NOW, NOW)
    assert not may_drop(here, NOW + 1, NOW + 1)  # proved before this look


@given(healths())
def test_what_stays_is_never_dropped(health: Health) -> None:
    seen = watched(replace(health, stays="the user put it here"), NOW)
    assert decide(seen, NOW + 1e9).act is not Act.DROP
    assert not may_drop(seen, NOW, 0.0)


@given(st.floats(0, 1e9), st.lists(st.tuples(st.floats(0, 1e7), st.booleans()), max_size=40))
def test_silence_is_counted_only_as_it_was_seen(
    start: float, looks: list[tuple[float, bool]]
) -> None:
    """Not for longer than there was time, and of a gap between two looks only its part."""
    past, now, silent_looks = PeerPast.met(start), start, 0
    for gap_s, answers in looks:
        now += gap_s
        past = (
            past.answered(now, PERIODS.gap_max_s)
            if answers
            else past.silent(now, PERIODS.gap_max_s)
        )
        silent_looks = 0 if answers else silent_looks + 1
        assert (past.silent_s > 0) == (silent_looks > 0)
        assert past.silent_s <= silent_looks * PERIODS.gap_max_s


@given(st.floats(0, 1e9), st.floats(-1e8, 1e8))
def test_who_answered_has_answered_whatever_the_clock_says(start: float, later_s: float) -> None:
    """It may answer in the moment in which it is met, or after the clock was set back."""
    past = PeerPast.met(start)
    assert not past.ever_answered
    assert not past.silent(start + later_s, PERIODS.gap_max_s).ever_answered
    assert past.answered(start + later_s, PERIODS.gap_max_s).ever_answered


@given(
    st.floats(0, 1e9),
    st.lists(st.tuples(st.floats(0, 1e8), st.sampled_from(("answers", "is silent", "unseen")))),
)
def test_who_was_off_itself_has_not_watched_anybody_meanwhile(
    start: float, looks: list[tuple[float, str]]
) -> None:
    """Nor has one whose clock was set: nobody is steady, or there for most of the time, by that."""
    past, now, watched_s = PeerPast.met(start), start, 0.0
    for gap_s, seen in looks:
        now += gap_s
        if seen == "unseen":
            past = past.unseen(now)
            continue
        look = past.answered if seen == "answers" else past.silent
        past = look(now, PERIODS.gap_max_s)
        watched_s += min(gap_s, PERIODS.gap_max_s)
    assert past.watched_s - 2e-3 <= past.looked_s <= watched_s + 1e-3 * (1 + len(looks))
