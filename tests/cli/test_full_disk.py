"""A node whose disk is really full, or has become read-only: it serves, warns and starts again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Daemons, run
from tests.integration.disks import SmallDisk

DATA = random.Random(3).randbytes(700_000)
MORE = random.Random(4).randbytes(700_000)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path)
    yield small
    small.unmount()


def test_a_node_serves_warns_stops_and_starts_on_a_full_disk(
    small: SmallDisk, daemons: Daemons, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("out") / "file"
    first = daemons(f"{small.path.name}/a", "--capacity", "3MB")
    other = daemons("b", "--capacity", "0", first.ticket)
    cid = first.put(DATA, "--replicas", "1")
    small.fill()
    assert first.run("cat", cid).out == DATA
    refused = first.run("put", "-", stdin=MORE)
    assert refused.code == 8
    assert "Traceback" not in refused.err
    assert "no room here for one block more" in first.run("status").err
    stopped = first.stop()
    assert stopped.code == 0
    assert "Traceback" not in stopped.err

    small.fill()
    again = daemons(f"{small.path.name}/a", "--capacity", "3MB")
    assert again.run("cat", cid).out == DATA
    assert again.run("put", "-", stdin=MORE).code == 8
    warnings = again.run("status", "--json").json["warnings"]
    assert any("no room here for one block more" in warning for warning in warnings), warnings
    got = run("get", "--seed", again.ticket, "--network", "tests", cid, "-o", out)
    assert got.code == 0, got.err
    assert out.read_bytes() == DATA
    assert again.stop().code == 0
    other.stop()


def test_a_node_starts_on_a_read_only_disk_and_serves(small: SmallDisk, daemons: Daemons) -> None:
    first = daemons(f"{small.path.name}/a", "--capacity", "3MB")
    cid = first.put(DATA, "--replicas", "1")
    assert first.stop().code == 0
    small.remount("ro")
    again = daemons(f"{small.path.name}/a", "--capacity", "3MB")
    assert again.run("cat", cid).out == DATA
    assert again.run("put", "-", stdin=MORE).code == 8
    stopped = again.stop()
    assert stopped.code == 0
    assert "Traceback" not in stopped.err
