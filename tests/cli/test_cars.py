"""export and import between nodes that are processes of their own."""

from __future__ import annotations

import os
import pty
import random
import resource
import subprocess
from pathlib import Path

import pytest

import dhtstore.sync
from dhtstore.errors import MalformedCar, TargetExists
from dhtstore.model.cid import Cid
from tests.cars import car_of
from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND, ENVIRONMENT, Daemons, end, run

DATA = random.Random(11).randbytes(3_000_000)
VECTORS = Path(__file__).parent.parent / "vectors" / "car"
MISSING = "QmSNLTo6Wv9dfroVaw7MFYjLqf9ho7PKrgsjdzYDtv8h1W"
FILE_MAX_BYTES = 1_000_000
CHUNKS = [
    (Cid.of(DATA[at : at + 10**6]), DATA[at : at + 10**6]) for at in range(0, 3 * 10**6, 10**6)
]


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


def test_what_is_not_whole_is_refused_or_cached(daemons: Daemons) -> None:
    alone = daemons("alone", "--capacity", "2MB")
    for name, code, why in (
        ("file-3k-and-3-blocks-missing-block", 3, MISSING),
        ("dir-with-dag-cbor-with-links", 5, "kind that is not stored here: dag-cbor"),
        ("plain-json", 5, "byte 0: CID version 1 with codec 0x200"),
        ("sample-v1-with-zero-len-section2", 5, "byte 20819"),
        ("outside-root", 5, "../foo"),
    ):
        refused = alone.run("import", VECTORS / f"{name}.car")
        assert refused.code == code, name
        assert why in refused.err, refused.err
        assert refused.out == b""
    assert alone.run("import", VECTORS / "ipld-car-two-roots.car", "--name", "x").code == 2
    large = alone.run("import", "-", stdin=car_of([Cid.of(DATA)], CHUNKS))
    assert large.code == 8, large.err
    assert alone.run("gc").code == 0
    assert alone.run("status", "--json").json["blocks"] == 0

    half = VECTORS / "file-3k-and-3-blocks-missing-block.car"
    cached = alone.run("import", half, "--partial", "--json").json
    assert (cached["pinned"], cached["skipped"]) == (False, 0)
    assert alone.run("import", VECTORS / "dir-with-dag-cbor-with-links.car", "--partial").code == 0
    assert alone.run("pin", "ls", "--json").json == []
    alone.run("gc")
    assert "cache" in alone.run("why", cached["roots"][0]).text
    two = alone.run("import", VECTORS / "ipld-car-two-roots.car")
    assert two.code == 0, two.err
    assert [row["cid"] for row in alone.run("pin", "ls", "--json").json] == sorted(two.text.split())
    alone.run("gc", "--cache")
    assert alone.run("status", "--json").json["blocks"] == 2
    assert (
        alone.run("export", *two.text.split(), "-").out
        == (VECTORS / "ipld-car-two-roots.car").read_bytes()
    )


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


def test_programs_do_the_same(network: Network, tmp_path: Path) -> None:
    cid = network.storage[0].put(DATA, "--replicas", "1", "--min-acks", "1")
    with dhtstore.sync.connect(network.storage[0].home) as client:
        told = client.export(cid, tmp_path / "x.car")
        car = (tmp_path / "x.car").read_bytes()
        assert b"".join(client.read_car([cid])) == car
        with pytest.raises(TargetExists):
            client.export(cid, tmp_path / "x.car")
        client.export(cid, tmp_path / "x.car", force=True)
    with dhtstore.sync.connect(network.client.home) as client:
        taken = client.import_car(tmp_path / "x.car", name="mine")
        assert (taken.roots, taken.blocks, taken.pinned) == ([cid], told.blocks, True)
        assert client.import_car(car).pinned
        assert [pin.name for pin in client.pins()] == ["mine"]
        with pytest.raises(MalformedCar) as refused:
            client.import_car(car[:-10])
        assert refused.value.offset == len(car) - 10
        client.unpin(cid)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.car"]
