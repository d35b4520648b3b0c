"""Sessions against their own parameters, and schedules that are pure and independent."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest

from simulations.errors import ScenarioError
from simulations.events.arrivals import Newcomer, arrivals
from simulations.events.churn import (
    BITTORRENT,
    IPFS,
    KAD,
    KAD_FIRST_CRAWL,
    PRESETS,
    Change,
    ChurnModel,
    Schedule,
    from_settings,
)
from simulations.events.sessions import (
    Durations,
    LogNormal,
    Measured,
    Weibull,
    load_measured,
    residual_s,
)
from simulations.scenario import from_tables
from simulations.validation.theory import residual_survival

DISTRIBUTIONS: list[Durations] = [
    Weibull(0.518, 6948.0),
    Weibull(1.0, 100.0),
    LogNormal(600.0, 1.2),
    Measured([60.0, 60.0, 600.0, 7200.0]),
]
COUNT = 20_000


@pytest.mark.parametrize("durations", DISTRIBUTIONS, ids=lambda each: type(each).__name__)
def test_samples_have_the_survival_and_the_mean_of_the_distribution(durations: Durations) -> None:
    rng = random.Random(1)
    drawn = [durations.sample_s(rng) for _ in range(COUNT)]
    assert sum(drawn) / COUNT == pytest.approx(durations.mean_s, rel=0.08)
    for at_s in (0.3 * durations.median_s, durations.median_s, 4 * durations.median_s):
        longer = sum(d > at_s for d in drawn) / COUNT
        assert longer == pytest.approx(durations.survival(at_s), abs=0.015)


@pytest.mark.parametrize("durations", DISTRIBUTIONS, ids=lambda each: type(each).__name__)
def test_residual_life_follows_the_integral_of_the_survival(durations: Durations) -> None:
    rng = random.Random(2)
    drawn = [residual_s(durations, rng) for _ in range(COUNT)]
    for at_s in (0.5 * durations.mean_s, durations.mean_s, 3 * durations.mean_s):
        longer = sum(d > at_s for d in drawn) / COUNT
        assert longer == pytest.approx(residual_survival(durations, at_s), abs=0.015)


@pytest.mark.parametrize("model", [KAD, KAD_FIRST_CRAWL, BITTORRENT, IPFS])
def test_sessions_of_a_preset_have_its_median(model: ChurnModel) -> None:
    rng = random.Random(3)
    drawn = sorted(model.session.sample_s(rng) for _ in range(COUNT))
    assert drawn[COUNT // 2] == pytest.approx(model.session.median_s, rel=0.05)


def test_the_ipfs_preset_passes_through_the_published_points() -> None:
    assert 1 - IPFS.session.survival(8 * 3600) == pytest.approx(0.876, abs=0.002)
    assert IPFS.session.survival(24 * 3600) == pytest.approx(0.025, abs=0.001)
    assert IPFS.session.median_s / 60 == pytest.approx(57, abs=0.5)
    assert IPFS.session.mean_s / 3600 == pytest.approx(3.63, abs=0.03)


def test_a_schedule_is_pure_and_nodes_are_independent() -> None:
    few = list(Schedule(IPFS, 50, seed=1).changes(86_400))
    many = list(Schedule(IPFS, 80, seed=1).changes(86_400))
    assert few == [change for change in many if change.node < 50]
    assert few != list(Schedule(IPFS, 50, seed=2).changes(86_400))
    assert [c.at_s for c in many] == sorted(c.at_s for c in many)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_availability_is_stationary(name: str) -> None:
    model = PRESETS[name]
    schedule = Schedule(model, 4000, seed=5)
    up = sum(schedule.up_at_start)
    shares = [up / 4000]
    for change in schedule.changes(12 * 3600):
        up += 1 if change.up else -1
        shares.append(up / 4000)
    assert shares[0] == pytest.approx(model.availability, abs=0.03)
    assert shares[-1] == pytest.approx(model.availability, abs=0.03)


def test_each_node_alternates() -> None:
    schedule = Schedule(KAD, 30, seed=1)
    state = list(schedule.up_at_start)
    for change in schedule.changes(7 * 86_400):
        assert change.up != state[change.node]
        state[change.node] = change.up


def test_shares_of_leaving_keeping_and_always_on() -> None:
    model = ChurnModel(Weibull(1, 600), Weibull(1, 600), always_on=0.3, leave=0.2, keep_data=0.9)
    changes = list(Schedule(model, 1000, seed=1).changes(20 * 3600))
    downs = [c for c in changes if not c.up]
    ups = [c for c in changes if c.up]
    assert sum(c.orderly for c in downs) / len(downs) == pytest.approx(0.2, abs=0.02)
    assert sum(c.with_data for c in ups) / len(ups) == pytest.approx(0.9, abs=0.02)
    assert len({c.node for c in changes}) == pytest.approx(700, abs=50)
    assert model.availability == pytest.approx(0.65)


def test_scenarios_choose_the_model(tmp_path: Path) -> None:
    def model(*overrides: str) -> ChurnModel | None:
        return from_settings(from_tables({}, overrides).churn, tmp_path)

    assert model() is None
    chosen = model("churn.preset=kad", "churn.always_on=10 %")
    assert chosen is not None
    assert (chosen.session, chosen.always_on) == (KAD.session, 0.1)
    for kind in ("weibull", "exponential", "lognormal"):
        custom = model("churn.preset=custom", f"churn.session={kind}", "churn.session_median_s=2 h")
        assert custom is not None
        assert custom.session.median_s == pytest.approx(7200)
        assert custom.session.survival(7200) == pytest.approx(0.5)
    (tmp_path / "t.txt").write_text("# measured\nup 10 min\nup 1 h\n\ndown 5 min # short\n")
    traced = model("churn.preset=trace", "churn.trace_file=t.txt")
    assert traced is not None
    assert (traced.session.mean_s, traced.absence.mean_s) == (2100, 300)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("up 1 h", "it has no line such as 'down 2 h'"),
        ("# none yet", "no line such as 'up 2 h' and none such as 'down 2 h'"),
        ("sideways 1 h", "line 1 starts with neither"),
        ("up 1 h\ndown", "line 2: '' is not a duration"),
        ("up 1 h\ndown 5", "line 2: '5' has no unit"),
        ("up 1 h\ndown 0", "line 2: '0' must be more than 0"),
    ],
)
def test_a_bad_session_trace_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ScenarioError, match=rf"t\.txt: .*{told}"):
        load_measured(tmp_path / "t.txt")


def test_changes_come_in_order_of_time_then_node() -> None:
    model = ChurnModel(Measured([10.0]), Measured([10.0]))
    changes: list[Change] = list(Schedule(model, 5, seed=1).changes(100))
    assert [(c.at_s, c.node) for c in changes] == sorted((c.at_s, c.node) for c in changes)


# --- brand-new machines ---------------------------------------------------------------------

DAYS_S = 20 * 86_400.0


def arrival_times(kind: str, per_h: float) -> list[float]:
    tables = {"churn": {"arrivals": kind, "arrivals_per_h": per_h}}
    return [arrival.at_s for arrival in newcomers(tables, None, seed=3)]


def newcomers(tables: dict[str, Any], model: ChurnModel | None, seed: int = 1) -> list[Newcomer]:
    scenario = from_tables(tables)
    return list(arrivals(scenario.churn, [(scenario.groups[0], model)], DAYS_S, seed))


def counts(times_s: list[float]) -> list[int]:
    """Arrivals in each five minutes."""
    found = [0] * int(DAYS_S / 300)
    for at_s in times_s:
        found[int(at_s / 300)] += 1
    return found


@pytest.mark.parametrize("kind", ["poisson", "kad", "bittorrent"])
def test_machines_arrive_in_order_at_the_rate_that_was_asked_for(kind: str) -> None:
    times_s = arrival_times(kind, 60)
    assert times_s == sorted(times_s)
    assert len(times_s) == pytest.approx(60 * 24 * 20, rel=0.03)


def test_arrivals_in_kad_are_as_steiner_counted_them() -> None:
    """Negative binomial with r = 16.81 and p = 0.127 in five minutes."""
    r, p = 16.81, 0.127
    mean, variance = r * (1 - p) / p, r * (1 - p) / p**2
    found = counts(arrival_times("kad", 12 * mean))
    assert statistics.fmean(found) == pytest.approx(mean, rel=0.02)
    assert statistics.variance(found) == pytest.approx(variance, rel=0.06)


def test_arrivals_in_bittorrent_are_weibull_and_poisson_ones_are_not() -> None:
    for kind, shape in (("bittorrent", 0.79), ("poisson", 1.0)):
        times_s = arrival_times(kind, 60)
        between = [b - a for a, b in itertools.pairwise(times_s)]
        spread = statistics.stdev(between) / statistics.fmean(between)
        first, second = math.gamma(1 + 1 / shape), math.gamma(1 + 2 / shape)
        assert spread == pytest.approx(math.sqrt(second / first**2 - 1), rel=0.03)


def test_who_arrives_stays_for_a_session_or_for_ever() -> None:
    tables = {"churn": {"arrivals": "poisson"}}
    assert all(math.isinf(one.stays_s) for one in newcomers(tables, None))
    stays = [one.stays_s for one in newcomers(tables, KAD)]
    assert statistics.median(stays) == pytest.approx(KAD.session.median_s, rel=0.05)
    assert newcomers({}, KAD) == []


def test_absences_are_as_long_as_sessions_unless_said() -> None:
    tables = {"preset": "custom", "session_median_s": "10 min"}
    model = from_settings(from_tables({"churn": tables}).churn, Path())
    other = {**tables, "absence_median_s": "30 min"}
    apart = from_settings(from_tables({"churn": other}).churn, Path())
    assert model is not None
    assert apart is not None
    assert (model.absence.median_s, apart.absence.median_s) == pytest.approx((600, 1800))
