"""Fast tests run first, so that a mistake shows within seconds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("dhtstore", deadline=None)
settings.load_profile("dhtstore")

TESTS = Path(__file__).parent
SLOWER_LAST = ("unit", "property", "conformance", "hostile", "simulation", "integration", "cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    room = item.path.relative_to(TESTS).parts[0]
    return SLOWER_LAST.index(room) if room in SLOWER_LAST else -1
