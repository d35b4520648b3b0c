"""export and import between nodes that are processes of their own."""

from __future__ import annotations

import os
import pty
import random
import resource
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND, ENVIRONMENT, Daemons, end, run

DATA = random.Random(11).randbytes(3_000_000)
FILE_MAX_BYTES = 1_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two files of which one is there twice, an empty one, and a symbolic link."""
    root = tmp_path / "tree"
    (root / "below").mkdir(parents=True)
    (root / "a").write_bytes(DATA)
    (root / "below" / "again").write_bytes(DATA)
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("a")
    return root


def test_a_dag_goes_from_node_to_node_through_a_pipe(
    network: Network, daemons: Daemons, tree: Path, tmp_path: Path
) -> None:
    """Also from a node that has to fetch it, to one of another network."""
    cid = network.storage[0].run("put", tree, "--replicas", "1", "--min-acks", "1").text.strip()
    alone = daemons("alone", "--capacity", "50MB", network="elsewhere")
    exporting = network.client.start("export", cid, "-")
    assert exporting.stdout is not None
    command = ("import", "-", "--name", "trees", "--home", str(alone.home))
    came = run(*command, stdin=exporting.stdout.fileno())
    assert end(exporting).code == 0
    assert came.code == 0, came.err
    assert came.text.strip() == cid
    assert "pinned" in came.err
    assert [row["name"] for row in alone.run("pin", "ls", "--json").json] == ["trees"]
    assert alone.run("cat", f"{cid}/below/again").out == DATA

    told = alone.run("export", "trees", tmp_path / "x.car", "--json").json
    assert told["roots"] == [cid]
    here, there = alone.run("export", "trees", "-").out, network.storage[0].run("export", cid, "-")
    assert here == there.out == (tmp_path / "x.car").read_bytes()
    assert len(here) < 1.01 * len(DATA), "each block once"
    again = alone.run("export", "trees", tmp_path / "x.car")
    assert again.code == 2
    assert "exists" in again.err
    assert alone.run("export", "trees", tmp_path / "x.car", "--force").code == 0
    assert sorted(each.name for each in tmp_path.iterdir() if "x.car" in each.name) == ["x.car"]


def test_what_is_cut_off_is_refused_where_it_ends_and_not_kept(
    network: Network, daemons: Daemons, tmp_path: Path
) -> None:
    cid = network.storage[0].put(DATA, "--replicas", "1", "--min-acks", "1")
    alone = daemons("alone", "--capacity", "50MB", network="elsewhere")
    car = network.storage[0].run("export", cid, "-").out
    (tmp_path / "cut.car").write_bytes(car[:-10])
    cut = alone.run("import", tmp_path / "cut.car")
    assert cut.code == 5
    assert f"ends at byte {len(car) - 10}" in cut.err
    assert alone.run("pin", "ls", "--json").json == []
    alone.run("gc")
    assert alone.run("status", "--json").json["blocks"] == 0
    assert alone.run("import", "-", stdin=car).code == 0
    wrong = bytearray(car)
    wrong[-5] ^= 1
    told = alone.run("import", "-", "--json", stdin=bytes(wrong))
    assert told.code == 5
    assert "does not hash to its CID" in told.err


def test_an_export_that_does_not_fit_leaves_nothing(network: Network, tmp_path: Path) -> None:
    cid = network.storage[0].put(DATA, "--replicas", "1", "--min-acks", "1")

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_MAX_BYTES, FILE_MAX_BYTES))

    target = tmp_path / "out" / "x.car"
    target.parent.mkdir()
    home = str(network.storage[0].home)
    ran = run("export", "--home", home, cid, target, before=small)
    assert ran.code == 8, ran.err
    assert "x.car" in ran.err
    assert "Traceback" not in ran.err
    assert list(target.parent.iterdir()) == []


def test_a_car_is_not_shown_on_a_terminal(network: Network) -> None:
    cid = network.storage[0].put(DATA, "--replicas", "1", "--min-acks", "1")
    screen, terminal = pty.openpty()
    command = [*COMMAND, "export", "--home", str(network.storage[0].home), cid, "-"]
    ran = subprocess.run(
        command, stdout=terminal, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False
    )
    os.close(terminal)
    os.close(screen)
    assert ran.returncode == 2
    assert b"no text for a terminal" in ran.stderr
