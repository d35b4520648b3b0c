"""The validation table: theory holds in a settled network, and a wrong figure is called wrong."""

from __future__ import annotations

import pytest

from simulations.__main__ import main
from simulations.validation.findings import Finding, table_of
from simulations.validation.lookups import validate


def test_a_settled_network_is_as_theory_says() -> None:
    found = validate(400, 150, 2, model_lookups=800)
    assert [finding for finding in found if not finding.holds] == []
    assert sum(finding.judged for finding in found) > 5


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--nodes", "40", "--lookups", "5"]) in (0, 1)
    shown = capsys.readouterr().out
    assert "40 nodes, 5 lookups each way" in shown
    assert "hops, alpha = beta = 1" in shown


def test_the_same_seed_finds_the_same() -> None:
    assert validate(60, 10, 3, model_lookups=100) == validate(60, 10, 3, model_lookups=100)


def test_what_does_not_hold_is_said() -> None:
    wrong = Finding.within("hops", 3.2, 3.0, 0.03, "recursion")
    assert not wrong.holds
    assert "NO" in table_of([wrong])
    assert Finding.within("hops", 3.08, 3.0, 0.03, "recursion").holds
    assert Finding.at_least("full", 0.99, 0.98, "RFM19").holds
    assert not Finding.at_least("full", 0.97, 0.98, "RFM19").holds


def test_what_is_told_for_comparison_is_not_judged() -> None:
    told = Finding("hops", 3.2, 3.0, "another assumption")
    assert told.holds
    assert "yes" not in table_of([told])
