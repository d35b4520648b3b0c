"""Scenario files: typed, frozen, and refused with the name of the key."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from simulations.errors import ScenarioError
from simulations.scenario import from_tables, load
from simulations.settings import duration, integer


def test_a_file_with_overrides_becomes_a_frozen_scenario(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[run]\nnodes = 50\nduration_s = "2 h"\n[network]\nloss = "1 %"\n')
    scenario = load(path, ["network.loss=0.02", "churn.preset=ipfs", "network.low_s=5 ms"])
    assert (scenario.run.nodes, scenario.run.duration_s) == (50, 7200)
    assert (scenario.network.loss, scenario.network.low_s) == (0.02, 0.005)
    assert (scenario.churn.preset, scenario.workload.kind) == ("ipfs", "none")
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.run.nodes = 1  # type: ignore[misc]


def test_what_was_read_is_enough_to_read_it_again() -> None:
    scenario = from_tables({"run": {"seed": 7}}, ["network.jitter=1 %"])
    again = from_tables(json.loads(json.dumps(scenario.raw)))
    assert again == scenario
    assert again.sha256() == scenario.sha256() != from_tables({"run": {"seed": 8}}).sha256()


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("network.los=0.1", "unknown key network.los; did you mean loss?"),
        ("netwrok.loss=0.1", "unknown section .netwrok.; did you mean network?"),
        ("network.loss=2", "network.loss: 2 is outside 0 to 1"),
        ("network.jitter=5 ms", "network.jitter: .*unknown unit 'ms'"),
        ("run.duration_s=60", "run.duration_s: 60 is not a duration"),
        ("run.nodes=0", "run.nodes: 0 must be from 1 to 100000"),
        (f"run.nodes={10**16}", "run.nodes: 10000000000000000 must be from 1 to 100000"),
        (f"run.seed={2**63}", "run.seed: .* must be from 0 to 9223372036854775807"),
        ("run.duration_s=1e308 d", "run.duration_s: '1e308 d' is more than any"),
        ("run.capacity_bytes=1e308 PiB", "run.capacity_bytes: '1e308 PiB' is more than any"),
        ("run.scenario=../up", "run.scenario: '../up' is not a name"),
        ("run.nodes=1.5", "run.nodes: 1.5 is not a whole number"),
        ("run.nodes=true", "run.nodes: True is not a whole number"),
        ("run.warm_start=1", "run.warm_start: 1 is neither true nor false"),
        ("churn.preset=gnutella", "churn.preset: 'gnutella' is none of none, kad"),
        ("churn.preset=trace", "needs trace_file"),
        ("network.low_s=1 s", "low_s .1 s. is more than high_s"),
        ("network.up_bytes_per_s=0 B/s", "network.up_bytes_per_s: .* more than 0"),
        ("network=1", "not of the form"),
        ("run=", "not of the form"),
        ("run.description=3", "run.description: 3 is not text"),
    ],
)
def test_what_is_refused_names_its_key(override: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        from_tables({}, [override])


@pytest.mark.parametrize("raw", [{"run": 3}, {"run": {"seed": "x"}}, {"run": {"seed": -1}}])
def test_what_is_no_table_or_no_seed_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(ScenarioError, match="run"):
        from_tables(raw)


def test_an_override_into_what_is_no_table_is_refused() -> None:
    with pytest.raises(ScenarioError, match="must be a table"):
        from_tables({"run": 3}, ["run.seed=1"])


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot read"):
        load(tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("[run")
    with pytest.raises(ScenarioError, match="not TOML"):
        load(tmp_path / "bad.toml")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ScenarioError, match=r"list\.json holds no sections"):
        load(tmp_path / "list.json")


@pytest.mark.parametrize(
    ("written", "meant"), [("groups", "group"), ("paramters", "parameters"), ("srevice", "service")]
)
def test_a_section_misspelled_is_told_which_was_meant(written: str, meant: str) -> None:
    with pytest.raises(ScenarioError, match=f"did you mean {meant}?"):
        from_tables({written: {}})


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    lookups: int = integer(10)
    every_s: float = duration("1 s")


def test_a_module_reads_its_own_parameters() -> None:
    scenario = from_tables({}, ["parameters.lookups=5"])
    assert scenario.parameters(Own) == Own(5, 1.0)
    with pytest.raises(ScenarioError, match=r"parameters\.speed"):
        from_tables({}, ["parameters.speed=5"]).parameters(Own)
