"""Putting what is larger than the node that puts it, or than the temporary disk of a visitor."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Network
from tests.cli.terminal import NETWORK, Daemons, run
from tests.integration.disks import SmallDisk

DATA = random.Random(5).randbytes(24_000_000)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path)
    yield small
    small.unmount()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(DATA)
    return path


def test_a_small_node_puts_what_others_hold(
    network: Network, daemons: Daemons, source: Path, tmp_path: Path
) -> None:
    node = daemons("small", "--capacity", "5MB", network.ticket)
    put = node.run("put", source, "--replicas", "2")
    assert put.code == 0, put.err
    assert "it does not fit here: all of its copies are on other nodes" in put.err
    cid = put.text.strip()
    signed = node.run("receipts", cid, "--json").json
    assert len(signed) == 2
    assert node.node not in {receipt["node"] for receipt in signed}
    assert node.run("status", "--json").json["used"] < 300_000  # of it the index
    got = network.client.run("get", cid, "-o", tmp_path / "copy")
    assert got.code == 0, got.err
    assert (tmp_path / "copy").read_bytes() == DATA
    refused = node.run("put", "-", stdin=DATA[::-1])
    assert refused.code == 8
    assert "5.0 MB that this node gives" in refused.err
    assert "is not read again" in refused.err
    assert node.run("status", "--json").json["used"] < 300_000  # of it the index


def test_alone_it_is_refused_at_once(daemons: Daemons, source: Path) -> None:
    node = daemons("alone", "--capacity", "5MB")
    refused = node.run("put", source, "--replicas", "1", "--min-acks", "1")
    assert refused.code == 8
    assert re.search(r"24\.0 MB are needed here, and 4\.\d MB are left of the 5\.0 MB", refused.err)
    assert "no other storage node is known here that could take it" in refused.err


def test_a_visitor_with_a_small_temporary_disk_too(
    network: Network, source: Path, small: SmallDisk, tmp_path: Path
) -> None:
    small.path.chmod(0o700)
    visit = ("--seed", network.ticket, "--network", NETWORK, "--home", tmp_path / "home")
    put = run(
        "put", *visit, source, "--replicas", "2", "--json", environment={"TMPDIR": str(small.path)}
    )
    assert put.code == 0, put.err
    assert put.json["lent"] is True
    assert network.client.run("cat", put.json["cid"]).out == DATA
