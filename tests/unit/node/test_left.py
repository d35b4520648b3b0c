"""A node that has left ends in the moment after: what `leave` tells waits for nothing."""

from __future__ import annotations

from typing import cast

import pytest

from dhtstore.node.copies.completeness import Completeness
from dhtstore.node.duties.repairing.telling import units_told


def test_that_no_unit_stays_is_told_at_once() -> None:
    telling = units_told(cast(Completeness, None), [])
    with pytest.raises(StopIteration) as told:
        telling.send(None)
    assert told.value.value == []
