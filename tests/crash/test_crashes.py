"""Nothing that was acknowledged is lost by a power cut or a kill, and a sync left out is noticed.

More of the same: `python -m tests.crash.laboratory`, `python -m tests.crash.kill` and
`python -m tests.crash.kill_nodes`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.crash import kill
from tests.crash.kill_nodes import kill_nodes
from tests.crash.laboratory import try_images
from tests.crash.recording import COMPILER

IMAGES = 250
ROUNDS = 20
needs_recorder = pytest.mark.skipif(
    COMPILER is None, reason="NO CRASH WAS TRIED: what records the I/O takes a C compiler (cc)"
)


@needs_recorder
def test_every_image_of_a_crash_opens_with_all_that_was_acknowledged() -> None:
    tried = list(try_images(seed=7, images=IMAGES))
    assert [each for each in tried if each.why] == []
    assert len(tried) == IMAGES


@needs_recorder
@pytest.mark.parametrize(
    "left_out",
    [".pack", "index.sqlite-wal", "index.sqlite", "ledger.sqlite-wal", "ledger.sqlite", "/"],
)
def test_a_sync_that_is_left_out_is_noticed(left_out: str) -> None:
    """Of packs, of the log and the file of both databases, of the names in directories."""
    wrong = [tried.why for tried in try_images(seed=7, images=IMAGES, swallow=left_out)][-1]
    assert wrong


def test_processes_are_killed_and_lose_nothing() -> None:
    command = [sys.executable, "-m", kill.__name__, "--rounds", str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.startswith(f"{ROUNDS} processes killed, nothing lost"), done
    assert done.returncode == 0


def test_nodes_are_killed_and_lose_nothing() -> None:
    assert kill_nodes(seed=2, rounds=1)
