"""Real files and directories, put on one node and got on another: the same tree or an error."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dhtstore.content.dag.local import local_units
from dhtstore.errors import SourceChanged, UnreadableSource
from dhtstore.model.cid import Cid
from dhtstore.node.flows.get import GetOutcome, get
from dhtstore.node.flows.read import read
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations.operation import Progress, Watch, unwatched
from dhtstore.params import GIB, MIB
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.files.sources.file import FileSource
from dhtstore.store.files.sources.tree import TreeSource
from tests.simulation.harness import (
    CLIENT,
    STORAGE,
    Lab,
    check_receipts,
    providers_seen,
    tell,
)
from tests.unit.content.test_vectors import VECTORS, content, expand, label

RNG_SEED = 11


async def put_path(node: Node, path: Path, progress: Watch = unwatched) -> PutOutcome:
    fd = os.open(path, os.O_RDONLY)
    source = TreeSource(fd, path.name) if path.is_dir() else FileSource(fd, path.name)
    try:
        return await node.uploader().put(
            source, name=path.name, replicas=3, min_acks=1, progress=progress
        )
    finally:
        source.close()


async def get_into(node: Node, root: Cid, target: Path, *names: str) -> GetOutcome:
    fd = os.open(target.parent, os.O_RDONLY)
    try:
        async with node.fetch_session() as session:
            return await get(
                session, root, names, fd, target.name, timeout_s=None, progress=unwatched
            )
    finally:
        os.close(fd)


def shape(path: Path) -> dict[str, object]:
    """What stands at and below a path: bytes of files, targets of links, None for directories."""
    if path.is_symlink():
        return {"": os.readlink(path)}
    if path.is_file():
        return {"": path.read_bytes()}
    found: dict[str, object] = {"": None}
    for child in path.iterdir():
        found |= {f"{child.name}/{rest}": what for rest, what in shape(child).items()}
    return found


async def round_trip(lab: Lab, source: Path, out: Path) -> PutOutcome:
    """Put on one node, get on another that holds nothing, and compare."""
    await lab.grow(4)
    result = await put_path(lab.nodes[1], source)
    assert result.copies == 3
    reader = await lab.add(CLIENT)
    got = await get_into(reader, result.cid, out)
    assert shape(out) == shape(source)
    files = [p for p in source.rglob("*") if p.is_file() and not p.is_symlink()]
    assert got.size_bytes == result.size_bytes == sum(path.stat().st_size for path in files)
    assert sorted(p.name for p in out.parent.iterdir()) == sorted({source.name, out.name})
    return result


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# --- trees that come back -------------------------------------------------------------------


def mixed(at: Path) -> None:
    rng = random.Random(RNG_SEED)
    for name in ("empty", "a/empty", "a/b/empty"):
        write(at / name, b"")
    for number in range(40):
        write(at / "small" / f"{number}.txt", rng.randbytes(number))
    for name, size in (("big", 3 * MIB + 7), ("a/big", MIB + 1), ("a/exact", MIB), ("z", 2 * MIB)):
        write(at / name, rng.randbytes(size))


def links(at: Path) -> None:
    write(at / "a/b/file", b"data")
    for name, target in (
        ("to-file", "a/b/file"),
        ("to-directory", "a/b"),
        ("dangling", "nothing/here"),
        ("a/up", "../a/b/file"),
        ("a/b/up", "../../to-file"),
        ("self", "self"),
        ("dot", "./a"),
    ):
        (at / name).symlink_to(target)


def names(at: Path) -> None:
    for number, name in enumerate(
        [
            "é",
            "e\u0301",
            "日本語",
            "😀",
            " ",
            "a b",
            "-rf",
            "a\\b",
            "new\nline",
            "x" * 255,
            "~",
            "…",
        ]
    ):
        write(at / name, b"%d" % number)
        write(at / "in" / f"{name[:100]}-directory" / "f", b"%d" % number)


def empties(at: Path) -> None:
    (at / "one").mkdir(parents=True)
    (at / "two/three").mkdir(parents=True)


def deep(at: Path) -> None:
    write(at.joinpath(*["d"] * 30) / "file", b"at the bottom")


def same_everywhere(at: Path) -> None:
    for number in range(50):
        write(at / f"{number}" / "file", b"the same bytes" * 100_000)


TREES: list[Callable[[Path], None]] = [mixed, links, names, empties, deep, same_everywhere]


@pytest.mark.parametrize("make", TREES, ids=lambda make: make.__name__)
def test_a_tree_comes_back_as_it_was(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "source")

    async def story(lab: Lab) -> None:
        await round_trip(lab, tmp_path / "source", tmp_path / "out")

    tell(story)


def test_an_empty_directory_and_an_empty_file_come_back(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    write(tmp_path / "void" / "file", b"")

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        for source in (tmp_path / "nothing", tmp_path / "void" / "file"):
            result = await put_path(lab.nodes[1], source)
            assert result.copies == 3
            assert (
                await get_into(lab.nodes[3], result.cid, tmp_path / f"{source.name}.out")
            ).size_bytes == 0
            assert shape(tmp_path / f"{source.name}.out") == shape(source)

    tell(story)


def test_three_thousand_small_files_come_back_and_one_of_them_alone(tmp_path: Path) -> None:
    rng = random.Random(RNG_SEED)
    for number in range(3000):
        write(tmp_path / "source" / f"{number % 7}" / f"{number}.txt", rng.randbytes(number % 50))

    async def story(lab: Lab) -> None:
        result = await round_trip(lab, tmp_path / "source", tmp_path / "out")
        one = await get_into(lab.nodes[3], result.cid, tmp_path / "one", "3", "2999.txt")
        assert one.size_bytes == 2999 % 50
        wanted = tmp_path / "source" / "3" / "2999.txt"
        assert (tmp_path / "one").read_bytes() == wanted.read_bytes()

    tell(story)


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS if v["profile"] == "unixfs-v1-2025" and v.get("size", 0) < 100 * MIB],
    ids=label,
)
def test_the_cid_is_that_of_the_reference_importer(vector: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "source"
    if vector["kind"] == "directory":
        for path, size in expand(vector["files"]).items():
            write(source / path, content(path, size))
    elif vector["name"] == "zeros":
        write(source, bytes(vector["size"]))
    else:
        write(source, content(vector["name"], vector["size"]))

    async def story(lab: Lab) -> None:
        await lab.grow(1)
        result = await put_path(lab.nodes[0], source)
        assert str(result.cid) == vector["cid"]
        assert lab.nodes[0].ports.store.count() == vector["blocks"]

    tell(story)


# --- sources that change or cannot be stored ------------------------------------------------


def check_nothing_happened(lab: Lab) -> None:
    for node in lab.nodes:
        assert node.ports.store.count() == 0
        assert node.ports.store.used_bytes == 0
        assert node.dht.records_held == 0
        assert node.ledger.puts.list() == []
        assert node.ledger.pins.list() == []


def refuse(source: Path, error: type[Exception], match: str, spoil: Callable[[], object]) -> None:
    """Put ``source``, spoil it each time that bytes were read, and expect the error."""

    async def story(lab: Lab) -> None:
        await lab.grow(3)

        def progress(step: Progress) -> None:
            if step.phase == "reading":
                spoil()

        with pytest.raises(error, match=match):
            await put_path(lab.nodes[1], source, progress)
        check_nothing_happened(lab)

    tell(story)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns - 1))


@pytest.mark.parametrize("change", [shrink, grow, touch])
def test_a_file_that_goes_on_changing_while_it_is_put(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8 * MIB))
    refuse(path, SourceChanged, "file (changed|is not as long)", lambda: change(path))


@pytest.mark.parametrize("change", [shrink, grow, touch])
def test_a_large_file_in_a_tree_that_goes_on_changing(
    change: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "tree" / "large"
    write(path, bytes(8 * MIB))
    refuse(tmp_path / "tree", SourceChanged, "tree/large", lambda: change(path))


def test_entries_that_vanish_or_turn_into_something_else(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    write(outside / "secret", b"not to be read")
    for number in range(500):
        write(tree / f"{number:03}", b"some bytes")

    def replace_by(make: Callable[[Path], object]) -> Callable[[], None]:
        def spoil() -> None:
            if (tree / "490").is_file() and not (tree / "490").is_symlink():
                (tree / "490").unlink()
                make(tree / "490")

        return spoil

    kinds: list[tuple[Callable[[Path], object], type[Exception]]] = [
        (lambda path: None, SourceChanged),
        (lambda path: path.symlink_to(outside / "secret"), UnreadableSource),
        (lambda path: path.mkdir(), UnreadableSource),
        (os.mkfifo, UnreadableSource),
    ]
    for make, error in kinds:
        refuse(tree, error, "tree/490", replace_by(make))
        if (tree / "490").is_dir():
            (tree / "490").rmdir()
        else:
            (tree / "490").unlink(missing_ok=True)
        write(tree / "490", b"some bytes")


def put_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "leads out"),
        (lambda path: path.symlink_to("../../outside"), "leads out"),
        (lambda path: path.symlink_to("x/../../../outside"), "leads out"),
        (os.mkfifo, "neither a file"),
        (put_socket, "neither a file"),
    ],
    ids=["absolute link", "link up", "link through", "fifo", "socket"],
)
def test_what_nobody_could_get_back_is_refused(
    make: Callable[[Path], object], match: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    write(tree / "a" / "file", b"data")
    make(tree / "a" / "odd")
    refuse(tree, UnreadableSource, match, lambda: None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path / "tree" / "file", b"data")
    (tmp_path / "tree" / "file").chmod(0)
    refuse(tmp_path / "tree", UnreadableSource, "Permission denied", lambda: None)


@pytest.mark.parametrize("depth", [31, 200])
def test_a_tree_too_deep_to_be_got_back_is_refused(depth: int, tmp_path: Path) -> None:
    write((tmp_path / "tree").joinpath(*["d"] * depth) / "file", b"at the bottom")
    refuse(tmp_path / "tree", UnreadableSource, "too deep: .* 31 levels", lambda: None)


# --- more than one unit ---------------------------------------------------------------------


def test_a_file_above_a_gibibyte_is_placed_in_several_units_and_read_across_them(
    tmp_path: Path,
) -> None:
    size_bytes = GIB + 100 * MIB + 5
    path = tmp_path / "zeros"
    path.touch()
    os.truncate(path, size_bytes)

    async def story(lab: Lab) -> None:
        large = replace(STORAGE, capacity_bytes=8 * GIB, owner_quota_bytes=8 * GIB)
        for number in range(4):
            await lab.add(large, store=DiskBlockStore(tmp_path / f"{number}", 8 * GIB))
        node = lab.nodes[1]
        result = await put_path(node, path)
        assert result.copies == 3
        check_receipts(lab, result, copies=3)
        cut = await node.ports.blocking.run(local_units, node.ports.store, result.cid)
        assert len(cut) == 3
        assert {receipt.unit for receipt in result.receipts} == {unit.name for unit in cut}
        reader = await lab.add(CLIENT)
        for unit in cut:
            signed = {r.public_key for r in result.receipts if r.unit == unit.name}
            assert await providers_seen(reader, unit) == signed
        got = bytearray()

        async def write(piece: bytes | memoryview) -> None:
            got.extend(piece)

        for start, end in ((0, 5), (GIB - MIB, GIB + MIB), (size_bytes - MIB, size_bytes)):
            async with reader.fetch_session() as session:
                await read(session, result.cid, (), write, start=start, end=end)
            assert got == bytes(end - start)
            got.clear()
        assert sum(n.ports.store.used_bytes for n in lab.nodes[:4]) < 20 * MIB

    tell(story)
