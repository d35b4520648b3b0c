"""Sessions of the presets as schedules make them; figure 3 of Kademlia (2002)."""

from __future__ import annotations

from functools import cache

import pytest

from simulations.__main__ import main
from simulations.events.churn import IPFS, PRESETS, ChurnModel, Schedule
from simulations.events.sessions import Measured, Weibull
from simulations.validation.session_lengths import (
    Observed,
    findings,
    quantile_s,
    stays_another_hour,
    watch,
)
from simulations.validation.theory import stays_another

NODES, SEED = 250, 3


@cache
def watched(name: str) -> Observed:
    return watch(PRESETS[name], NODES, SEED)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_shows_its_parameters(name: str) -> None:
    found = findings(name, PRESETS[name], watched(name))
    wrong = [finding for finding in found if not finding.holds]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_longer_up_the_likelier_to_stay_another_hour(name: str) -> None:
    seen = stays_another_hour(watched(name).sessions)
    shares = [stayed / reached for _, reached, stayed in seen]
    assert shares == sorted(shares)
    assert shares[-1] - shares[0] > 0.25
    for (minutes, _, _), share in zip(seen, shares, strict=True):
        expected = stays_another(PRESETS[name].session, 60.0 * minutes, 3600)
        assert share == pytest.approx(expected, abs=0.03)


def test_sessions_without_memory_do_not_rise() -> None:
    memoryless = ChurnModel(Weibull(1, 7200), Weibull(1, 7200))
    seen = stays_another_hour(watch(memoryless, NODES, SEED).sessions)
    shares = [stayed / reached for _, reached, stayed in seen[:6]]
    assert max(shares) - min(shares) < 0.02


def test_another_distribution_is_called_wrong() -> None:
    longer = ChurnModel(Weibull(0.518, 8000), IPFS.absence)
    found = findings("ipfs", IPFS, watch(longer, NODES, SEED))
    assert not all(finding.holds for finding in found)


def test_watching_loses_no_session() -> None:
    model = ChurnModel(Measured([3600.0]), Measured([7200.0]))
    seen = watch(model, 50, SEED)
    assert {round(session, 6) for session in seen.sessions} == {3600}
    assert {round(absence, 6) for absence in seen.absences} == {7200}
    assert len(seen.residual) == seen.up_at_start == sum(Schedule(model, 50, SEED).up_at_start)
    assert max(seen.residual) <= 3600


def test_quantiles_are_those_of_the_distribution() -> None:
    assert quantile_s(IPFS.session, 0.5) == pytest.approx(IPFS.session.median_s, rel=0.001)


def test_the_command_holds_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--churn", "--nodes", "200", "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    for name in PRESETS:
        assert f"{name} least rise from one to the next" in shown
