"""Fast tests run first, so that a mistake shows within seconds; none may work on the disk on an
event loop."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import loop_guard

# How long an example takes says something about the machine, not about the code.
settings.register_profile("dhtstore", deadline=None)
settings.load_profile("dhtstore")

TESTS = Path(__file__).parent
SLOWER_LAST = ("unit", "property", "conformance", "hostile", "simulation", "integration", "cli")

loop_guard.install()

# What nodes of this user promise of a disk stands in one place: tests have their own, set before
# any of them is imported.
STATE = tempfile.TemporaryDirectory(prefix="dhtstore-tests-")
os.environ["XDG_STATE_HOME"] = STATE.name


def pytest_configure(config: pytest.Config) -> None:
    config.add_cleanup(STATE.cleanup)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)


def pytest_collection_finish() -> None:
    """What thousands of tests are made of stays: each full collection went over it for 0.1 s."""
    gc.collect()
    gc.freeze()


def _rank(item: pytest.Item) -> int:
    room = item.path.relative_to(TESTS).parts[0]
    return SLOWER_LAST.index(room) if room in SLOWER_LAST else -1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    yield from _guarded()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    yield from _guarded()


def _guarded() -> Generator[None, None, None]:
    with loop_guard.watching() as seen:
        yield
    if seen:
        pytest.fail("\n".join(dict.fromkeys(seen)), pytrace=False)
