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
