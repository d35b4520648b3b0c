"""How times are printed: others may have signed any number."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.cli.terminal.show import moment
from dhtstore.operations.moment import Moment


@pytest.mark.parametrize("unix_s", [-(2**63), -(10**14), 10**12, 2**63, 2**64 - 1])
def test_a_time_that_no_calendar_has_is_printed_as_its_number(unix_s: int) -> None:
    assert moment(Moment.at(unix_s)) == str(unix_s)


def test_times_are_printed_so_that_they_sort() -> None:
    assert moment(Moment.at_or_never(0)) == "never"
    assert moment(Moment.at(-1)) == "1969-12-31 23:59:59Z"
    assert moment(Moment.at(1_800_000_000.5)) == "2027-01-15 08:00:00Z"


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_times_are_those_of_the_calendar(unix_s: int) -> None:
    told = datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat()
    assert Moment.at(unix_s).rfc3339 == f"{told}Z"
