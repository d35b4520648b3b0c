"""Limits of nodes that run, changed while they do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.cli.terminal import Daemon, Daemons, run

SIZE_BYTES = 6 * 1024 * 1024
LIMIT = 2_000_000


def got_s(node: Daemon, cid: str, out: Path) -> float:
    begun_s = time.monotonic()
    assert node.run("get", cid, "-o", out).code == 0
    return time.monotonic() - begun_s


def test_a_limit_counts_at_once_and_is_exact(daemons: Daemons, tmp_path: Path) -> None:
    node = daemons("a", "--capacity", "50MB")
    getter = daemons("b", node.ticket, "--capacity", "0")
    cid = node.put(os.urandom(SIZE_BYTES), "--replicas", "1")
    start_s = got_s(getter, cid, tmp_path / "fast")
    told = node.run("config", "limit_up", "2MB/s")
    assert (told.code, "2.0 MB/s now" in told.err) == (0, True)
    limited_s = got_s(getter, cid, tmp_path / "slow")
    assert SIZE_BYTES / LIMIT * 0.9 < limited_s < SIZE_BYTES / LIMIT * 1.1 + start_s + 1.0
    assert "no limit now" in node.run("config", "limit_up", "").err
    assert got_s(getter, cid, tmp_path / "again") < SIZE_BYTES / LIMIT


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0", "0 would let nothing through; for no limit write 'unlimited'"),
        ("10kB/s", "is too little: below 100.0 kB/s"),
        ("5MB/s, 22:00-6 unlimited", "part 2, '22:00-6 unlimited': '6' is not a time"),
    ],
)
def test_a_wrong_limit_is_not_written(tmp_path: Path, text: str, told: str) -> None:
    refused = run("config", "--home", tmp_path, "limit_down", text)
    assert refused.code == 2
    assert refused.err.startswith("error: nothing was written: limit_down: ")
    assert told in refused.err
    shown = run("config", "--home", tmp_path, "limit_down")
    assert shown.text.strip() == "unlimited"
