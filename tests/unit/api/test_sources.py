"""What users say of what they put."""

from __future__ import annotations

import pytest

from dhtstore.api.sources import Ttl, ttl_s_of
from dhtstore.errors import UsageError


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(None, None), (30.0, 30.0), ("none", 0.0), ("30s", 30.0), (" 12h ", 43_200.0)],
)
def test_for_how_long_something_is_wanted(ttl: Ttl, seconds: float | None) -> None:
    assert ttl_s_of(ttl) == seconds


@pytest.mark.parametrize("ttl", ["30", " 5 ", "", "1.5", "d", "-5d"])
def test_a_number_alone_is_no_time_for_which_something_is_kept(ttl: str) -> None:
    """Who means days would have lost it after seconds."""
    with pytest.raises(UsageError, match="--ttl") as refused:
        ttl_s_of(ttl)
    assert refused.value.hint == "say 30d, 12h, or none"


@pytest.mark.parametrize("ttl", ["9999999d", 1e11, -1.0, float("nan")])
def test_a_time_longer_than_any_is_refused_before_anything_is_asked(ttl: Ttl) -> None:
    with pytest.raises(UsageError, match="is not between 0 and 317 years") as refused:
        ttl_s_of(ttl)
    assert refused.value.hint == "say none, and it is kept until it is removed"
