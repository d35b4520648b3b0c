"""Levels from reference runs: sound runs hold them, worse ones do not, and files keep the rest."""

from __future__ import annotations

import random
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulations.__main__ import main
from simulations.errors import ScenarioError
from simulations.results.rows import OperationRow
from simulations.results.summary import summarise
from simulations.scenario import from_tables
from simulations.sections.service import Reference, ServiceSettings
from simulations.service.block import block, with_block
from simulations.service.judge import judge
from simulations.service.reference import levels, served

SCENARIO = """# What this is for.
[run]
nodes = 8   # few
duration_s = "1 min"

[workload]
kind = "lookups"
operations_per_s = 1.0
"""


def rows(
    rng: random.Random,
    count: int = 300,
    ok: float = 0.97,
    factor: float = 1.0,
    recall: float = 0.98,
) -> list[OperationRow]:
    """A run whose own luck makes everything up to a tenth slower or faster."""
    luck = rng.uniform(0.95, 1.05) * factor
    return [
        OperationRow(
            start_s=0.0,
            stop_s=luck * rng.lognormvariate(-0.7, 0.6),
            kind="lookup",
            client=0,
            object=0,
            size_bytes=0,
            hops=2,
            queries=20,
            timeouts=0,
            ok=rng.random() < ok,
            recall=min(1.0, rng.uniform(recall - 0.1, recall + 0.1)),
        )
        for _ in range(count)
    ]


def violated(reference: list[list[OperationRow]], run: list[OperationRow]) -> list[str]:
    found = levels([served(each)[0] for each in reference])
    service = ServiceSettings(Reference("these"), found)
    lines: list[str] = judge(service, "these", summarise(run), ended=True)["violated"]
    return lines


def test_few_sound_runs_violate_what_five_others_served() -> None:
    rng = random.Random(7)
    alarms = sum(
        bool(violated([rows(rng) for _ in range(5)], rows(rng, count=200))) for _ in range(100)
    )
    assert alarms <= 2


@pytest.mark.parametrize(
    ("worse", "told"),
    [
        ({"ok": 0.85}, "succeeded"),
        ({"recall": 0.9}, "of the closest were found"),
        ({"factor": 1.6}, "p50 was"),
        ({"factor": 2.0}, "p95 was"),
    ],
)
def test_runs_that_are_clearly_worse_violate_it(worse: dict[str, float], told: str) -> None:
    rng = random.Random(7)
    for _ in range(20):
        found = violated([rows(rng) for _ in range(5)], rows(rng, **worse))  # type: ignore[arg-type]
        assert any(told in line for line in found)


def test_kinds_with_few_operations_get_no_level() -> None:
    rng = random.Random(7)
    assert levels([served(rows(rng, count=count))[0] for count in (20, 20, 19)]) == {}
    assert list(levels(served(rows(rng, count=20)) * 3)) == ["lookup"]


def test_the_more_runs_the_smaller_the_tolerance() -> None:
    rng = random.Random(7)
    runs = [served(rows(rng))[0] for _ in range(30)]
    few = [levels(runs[n : n + 3])["lookup"].p50_tolerance_s for n in range(0, 30, 3)]
    assert sum(few) / len(few) > 1.5 * levels(runs)["lookup"].p50_tolerance_s


def test_parts_of_a_run_stand_for_runs_and_allow_more_than_runs_do() -> None:
    rng = random.Random(7)
    run = [replace(row, start_s=float(n)) for n, row in enumerate(rows(rng, count=1200))]
    late = [replace(row, ok=row.ok and row.start_s < 900) for row in rng.sample(run, len(run))]
    parts = served(late, parts=4)
    assert [part["lookup"].operations for part in parts] == [300] * 4
    assert [part["lookup"].success.value > 0.9 for part in parts] == [True, True, True, False]
    of_parts = levels(served(run, parts=6))["lookup"]
    assert of_parts.operations == 200
    alone = levels([served(rows(rng, count=1200))[0] for _ in range(6)])["lookup"]
    assert of_parts.success_tolerance > alone.success_tolerance
    service = ServiceSettings(Reference("these"), {"lookup": of_parts})
    assert not judge(service, "these", summarise(run), ended=True)["violated"]
    assert judge(service, "these", summarise(late), ended=True)["violated"]


# --- written into a file --------------------------------------------------------------------


def service(runs: int = 3) -> ServiceSettings:
    rng = random.Random(runs)
    return ServiceSettings(Reference("these", "abc", runs), levels(served(rows(rng)) * 3))


def read(text: str) -> Any:
    return from_tables(tomllib.loads(text)).service


def test_what_is_written_is_read_again_and_all_else_stays_as_it_is() -> None:
    once = with_block(SCENARIO, block(service()))
    assert once.startswith(SCENARIO)
    assert read(once).reference == service().reference
    assert read(once).levels["lookup"].success == pytest.approx(
        service().levels["lookup"].success, abs=1e-4
    )
    renewed = with_block(once, block(service(5)))
    assert renewed == with_block(SCENARIO, block(service(5)))
    parts = replace(service(), reference=Reference("these", "abc", 1, 6))
    assert read(with_block(SCENARIO, block(parts))).reference.parts == 6


def test_a_level_between_other_tables_goes_to_the_end() -> None:
    first, workload = SCENARIO.split("[workload]")
    own = '[service]\nof = "x"\n[service.get]\nsuccess = 0.5  # mine\n'
    found = with_block(f"{first}{own}[workload]{workload}", block(service()))
    assert found == with_block(SCENARIO, block(service()))


def test_a_level_that_is_no_table_of_its_own_is_left_alone() -> None:
    with pytest.raises(ScenarioError, match="write it in tables of its own"):
        with_block('service.of = "x"\n' + SCENARIO, block(service()))


def test_the_command_writes_levels_that_a_run_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO)
    assert main(["reference", str(path), "--seeds", "3", "--jobs", "2", "--write"]) == 0
    assert path.read_text().startswith(SCENARIO)
    assert read(path.read_text()).levels.keys() == {"lookup"}
    assert main(["run", str(path), "--seed", "9", "--out", str(tmp_path / "out")]) == 0
    assert "service level holds" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["nowhere.toml"], ["runs/some/scenario.json"]])
def test_what_is_no_scenario_file_is_refused(arguments: list[str]) -> None:
    assert main(["reference", *arguments]) == 2


def test_fewer_runs_than_tell_how_much_they_differ_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["reference", "lookup", "--seeds", "1", "--parts", "2"]) == 2
    assert "more --seeds" in capsys.readouterr().err
