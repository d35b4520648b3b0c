"""What could be served, and what was."""

from __future__ import annotations

from simulations.results.rows import OperationRow
from simulations.results.summary import summarise
from simulations.service.reference import served


def row(error: str) -> OperationRow:
    return OperationRow(0.0, 1.0, "get", 1, 1, 10, 0, 0, 0, not error, error)


def test_ends_of_the_clients_own_are_no_failures_of_the_network() -> None:
    """One popular object that was not put failed a third of the gets of a world that lost none."""
    errors = ["", "", "", "Unreachable", "NotPutYet", "NotPutYet", "CrashedMeanwhile"]
    found = summarise([row(error) for error in errors])["get"]
    assert (found["count"], found["ok_share"]) == (7, 3 / 7)
    assert (found["could_be_served"], found["served_share"]) == (4, 3 / 4)
    assert served([row(error) for error in errors])[0]["get"].success.value == 3 / 4


def test_where_nothing_could_be_served_nothing_was() -> None:
    assert summarise([row("NotPutYet")])["get"]["served_share"] == 0.0
    assert served([row("NotPutYet")]) == [{}]
