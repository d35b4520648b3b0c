"""Every planted defect still applies; `python -m tests.mutations` tells what catches each."""

from __future__ import annotations

import pytest

from simulations.checks.checkers import CHECKERS
from tests.mutations.planted import Planted, applies, every


@pytest.mark.parametrize("planted", every(), ids=lambda planted: planted.name)
def test_patch_applies(planted: Planted) -> None:
    assert applies(planted) == ""


@pytest.mark.parametrize("planted", every(), ids=lambda planted: planted.name)
def test_what_must_catch_it_is_there(planted: Planted) -> None:
    assert planted.by in {"", "service", "asked", *(checker.name for checker in CHECKERS)}
