"""A cycle of announcing spreads over its interval, outlives restarts, and tells how far it is."""

from __future__ import annotations

import asyncio
import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.model.cid import Cid
from dhtstore.node.duties.announcing.progress import AHEAD_S, PARTS, CycleProgress
from dhtstore.node.duties.reprovide import Reprovide
from dhtstore.params import PROVIDER_TTL_S, REPROVIDE_INTERVAL_S
from dhtstore.store.ledger.health.announced import AnnouncedRow
from simulations.world.ports.entropy import SimEntropy
from tests.unit.node.announcing.world import Holding, claim_of, unit

HOUR_S = 3600.0
MANY = 500


class Library(Holding):
    """A node that keeps MANY units."""

    def __init__(self) -> None:
        super().__init__()
        self.units += [unit(number) for number in range(4, MANY)]
        with self.store.batch() as batch:
            for number in range(4, MANY):
                batch.put(Cid.of(b"%d" % number), b"%d" % number)
            batch.commit()
        for each in self.units[4:]:
            self.ledger.claims.put(claim_of(each))

    def restarted(self) -> None:
        """The node comes back with what is on its disk."""
        old = self.reprovide
        self.reprovide = Reprovide(
            old.identity,
            old.disk,
            old.dht,
            old.clock,
            SimEntropy(2, "node"),
            old.tracer,
            old.joined,
            old.completeness,
        )


def test_a_cycle_spreads_over_the_interval_and_no_record_waits_longer() -> None:
    node = Library()

    async def scene() -> None:
        node.joined.set()
        await node.run_for(3 * REPROVIDE_INTERVAL_S)
        times: dict[bytes, list[float]] = {}
        for at_s, key in node.heard.units:
            times.setdefault(key, []).append(at_s)
        assert len(times) == MANY
        for of_key in times.values():
            pauses = [b - a for a, b in itertools.pairwise(of_key)]
            assert max(pauses) <= REPROVIDE_INTERVAL_S + 120
            assert 2 <= len(pauses) <= 5
        begin_s = 1.5 * REPROVIDE_INTERVAL_S
        hours = [int((at - begin_s) // HOUR_S) for at, _ in node.heard.units if at >= begin_s]
        busiest = max(hours.count(hour) for hour in range(20))
        assert busiest < MANY / 5, "what was one burst at the start is none later"

    node.play(scene)


def test_a_restart_in_the_middle_goes_on_where_it_was() -> None:
    node = Library()

    async def scene() -> None:
        node.joined.set()
        await node.run_for(20.0)  # of 500 at 20 a second
        first = len(node.heard.units)
        assert 200 < first < 450
        node.restarted()
        await node.run_for(60.0)
        assert MANY <= len(node.heard.units) <= MANY + 150, "what was told is not told again"
        assert {key for _, key in node.heard.units} == {each.key for each in node.units}
        node.restarted()
        before = len(node.heard.units)
        await node.run_for(60.0)
        assert len(node.heard.units) == before

    node.play(scene)


def test_after_a_long_absence_elsewhere_or_from_a_damaged_row_all_is_announced() -> None:
    node = Library()

    async def told_after_restart() -> int:
        before = len(node.heard.units)
        node.restarted()
        await node.run_for(120.0)
        return len(node.heard.units) - before

    async def scene() -> None:
        node.joined.set()
        await node.run_for(60.0)
        assert await told_after_restart() == 0
        await asyncio.sleep(REPROVIDE_INTERVAL_S)
        assert await told_after_restart() == MANY
        row = node.ledger.announced.load()
        key, place = row.told_as.split()
        for elsewhere in (f"{key} 192.0.2.7:7400", f"{'00' * 20} {place}"):
            node.ledger.announced.save(AnnouncedRow(row.lines, elsewhere))
            assert await told_after_restart() == MANY
        node.ledger.table.write([(b"announced", b"\xc1")])
        assert await told_after_restart() == MANY
        node.ledger.announced.save(AnnouncedRow((b"\xff" * 4 * PARTS,) * 2, row.told_as))
        assert await told_after_restart() == MANY, "of the future"

    node.play(scene)


def test_the_progress_is_a_few_writes_and_a_thousand_units_one_lookup() -> None:
    node, writes = Library(), list[int]()
    save = node.ledger.announced.save

    def counted(row: AnnouncedRow) -> None:
        writes.append(sum(map(len, row.lines)))
        save(row)

    object.__setattr__(node.ledger.announced, "save", counted)

    async def scene() -> None:
        node.joined.set()
        await node.run_for(300.0)
        assert len(node.heard.units) == MANY
        assert node.heard.lookups == 1
        assert len(writes) <= 4
        assert max(writes) <= 2 * 4 * PARTS

    node.play(scene)


def test_what_is_new_waits_for_its_time_and_what_went_is_announced_no_more() -> None:
    node = Library()

    async def scene() -> None:
        node.joined.set()
        await node.run_for(60.0)
        late, gone = unit(MANY), node.units[7]
        with node.store.batch() as batch:
            batch.put(late.roots[0], b"%d" % MANY)
            batch.commit()
        node.ledger.claims.put(claim_of(late))
        node.ledger.claims.forget(gone.name)
        heard = len(node.heard.units)
        await node.run_for(REPROVIDE_INTERVAL_S + HOUR_S)
        keys = [key for _, key in node.heard.units[heard:]]
        assert late.key in keys
        assert gone.key not in keys

    node.play(scene)


# --- whether it keeps up ------------------------------------------------------------------------


def test_status_tells_how_many_are_announced_and_since_when() -> None:
    node = Library()
    node.heard.deaf = {each.key for each in node.units[:5]}

    async def scene() -> None:
        node.joined.set()
        await node.run_for(100.0)
        told = node.reprovide.standing.look()
        assert (told.names, told.announced, told.overdue) == (MANY, MANY - 5, 0)
        assert told.keeps_up
        assert told.oldest_s is not None
        assert 60 < told.oldest_s <= 101
        node.heard.deaf.clear()
        await node.run_for(6 * HOUR_S)
        told = node.reprovide.standing.look()
        assert told.announced == MANY
        assert told.oldest_s is not None
        assert told.oldest_s <= REPROVIDE_INTERVAL_S

    node.play(scene)


def test_it_warns_while_announcing_does_not_keep_up() -> None:
    node = Library()

    async def scene() -> None:
        node.joined.set()
        await node.run_for(60.0)
        node.heard.gone = True
        await node.run_for(REPROVIDE_INTERVAL_S + 4 * HOUR_S)
        [warning] = node.reprovide.warnings.texts
        assert f"of {MANY} units are late" in warning
        assert f"after {PROVIDER_TTL_S / 3600:.0f} h nobody finds them here" in warning
        assert "dhtstore peers" in warning
        told = node.reprovide.standing.look()
        assert not told.keeps_up
        failures = node.events.count("reprovide.failed")
        assert failures < 120, "asked ever less often while nobody answers"
        node.heard.gone = False
        await node.run_for(2 * HOUR_S)
        assert node.reprovide.warnings.texts == []

    node.play(scene)


# --- when what is due -----------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, PARTS - 1), st.booleans())
def test_a_part_is_due_after_a_while_and_never_later_than_the_interval(
    seed: int, part: int, early: bool
) -> None:
    rng = random.Random(seed)
    progress = CycleProgress(rng.random() * REPROVIDE_INTERVAL_S)
    now = rng.random() * 1e6
    for _ in range(20):
        progress.told(part, now)
        due_s = progress.due_s(part)
        assert AHEAD_S * 0.999 <= due_s - now <= REPROVIDE_INTERVAL_S * 1.001
        now = due_s - rng.random() * AHEAD_S * 0.99 if early else due_s + rng.random() * 600


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(0, PARTS - 1), st.floats(0, 1e6)), st.floats(1e6, 2e9))
def test_progress_comes_back_as_it_was_written(told: dict[int, float], ahead_s: float) -> None:
    progress, again = CycleProgress(), CycleProgress()
    for part, at_s in told.items():
        progress.told(part, at_s)
    again.restore(progress.packed(ahead_s), ahead_s + 7, 2e6)
    for part in range(PARTS):
        at = again.told_s(part)
        assert (at is None) == (part not in told)
        assert at is None or abs(at + 7 - told[part]) <= 1


@given(st.binary(max_size=2 * 4 * PARTS))
def test_a_damaged_row_counts_for_nothing_or_for_the_past(row: bytes) -> None:
    progress = CycleProgress()
    progress.restore(row, 0.0, 1e9)
    assert all((progress.told_s(part) or 0.0) <= 1e9 for part in range(PARTS))
