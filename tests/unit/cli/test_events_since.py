"""How far back `events` looks."""

from __future__ import annotations

import pytest

from dhtstore.cli.keeping.events import _seconds
from dhtstore.errors import UsageError


@pytest.mark.parametrize(("since", "seconds"), [("", None), ("2h", 7200.0), ("7d", 604_800.0)])
def test_by_a_time_with_its_unit(since: str, seconds: float | None) -> None:
    assert _seconds(since) == seconds


@pytest.mark.parametrize("since", ["2", "h", "-1d"])
def test_a_number_alone_is_no_time(since: str) -> None:
    """Who means days would be told of the last seconds."""
    with pytest.raises(UsageError, match="--since") as refused:
        _seconds(since)
    assert refused.value.hint == "say how long ago, as 2h or 7d"
