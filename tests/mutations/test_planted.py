"""What a run of a planted defect says, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutations.__main__ import exit_code
from tests.mutations.planted import Limits, Outcome, Planted, Where, caught_by, every

WHERE = Where("small", ("run.nodes=24",))
ANY = Planted("any", Path("any.patch"), "something", WHERE)
BY_NAME = replace(ANY, by="service")
FAILED = Outcome(failed="did not run: ImportError")


@pytest.mark.parametrize("planted", [ANY, BY_NAME])
def test_what_did_not_run_is_not_caught(planted: Planted) -> None:
    assert not planted.caught(FAILED)
    assert not planted.caught(Outcome())


def test_a_defect_is_caught_by_any_checker_or_by_its_own() -> None:
    assert ANY.caught(Outcome(("nothing_lost",)))
    assert not BY_NAME.caught(Outcome(("nothing_lost",)))
    assert BY_NAME.caught(Outcome(("nothing_lost", "service")))


def test_a_patch_that_does_not_apply_fails(tmp_path: Path) -> None:
    stale = tmp_path / "stale.patch"
    stale.write_text(every()[0].patch.read_text(encoding="utf-8").replace("\n ", "\n x"))
    outcome = caught_by(replace(ANY, patch=stale), WHERE)
    assert outcome.failed.startswith("does not apply: ")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(wall_s=0.01), "did not run: not done after 0.01 s"),
        (Limits(cpu_s=1), "did not run: more than 1 s of CPU"),
    ],
)
def test_a_run_that_takes_too_long_is_told_as_its_result(limits: Limits, told: str) -> None:
    assert caught_by(None, WHERE, limits) == Outcome(failed=told)


def test_a_run_that_cannot_begin_says_why() -> None:
    outcome = caught_by(None, Where("small", ("run.nodes=many",)))
    assert outcome.failed.startswith("did not run: ")
    assert "nodes" in outcome.failed


def test_the_command_fails_where_one_run_failed_or_a_clean_world_is_not_well() -> None:
    caught = (ANY, Outcome(("nothing_lost",)))
    assert exit_code([caught, caught], [Outcome()]) == 0
    assert exit_code([caught, (ANY, Outcome())], [Outcome()]) == 0  # one may be explained
    assert exit_code([caught, (ANY, FAILED)], [Outcome()]) == 1
    assert exit_code([caught], [FAILED]) == 1
    assert exit_code([], [Outcome()]) == 1
