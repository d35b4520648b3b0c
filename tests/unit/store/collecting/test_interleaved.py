from __future__ import annotations

import pytest

from dhtstore.errors import BlockMissing
from dhtstore.store.blocks.collecting.protections import Protections
from tests.unit.store.collecting.interleaved import run


def test_nothing_kept_is_lost_wherever_threads_change_places() -> None:
    assert _run_all(range(20)) > 0


def test_the_histories_see_a_sweep_that_takes_what_a_put_relies_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Protections, "note", lambda self, multihash: None)
    with pytest.raises((AssertionError, BlockMissing)):
        _run_all(range(200))


def _run_all(seeds: range) -> int:
    return sum(run(seed) for seed in seeds)
