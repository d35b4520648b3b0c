"""Paths lead through flat and sharded directories, and say what is missing."""

from __future__ import annotations

import pytest

from dhtstore.content.builders.directory import DirectoryChild
from dhtstore.content.codec.hamt import name_hash
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.looking.resolve import resolve, stat
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.errors import NotFound, UsageError
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.params import GIB, MIB
from tests.hostile.fetching.worst_blocks import inlined
from tests.unit.content.dags import Dag, joined


def test_no_names_lead_to_the_root_without_a_block() -> None:
    root = Cid.of(b"nobody has this")
    assert Dag().answer(resolve(root, [])).cid == root


def test_a_path_through_every_kind_of_directory() -> None:
    dag = Dag()
    many = {f"entry-{i:05d}-with-a-long-name": dag.leaf(10) for i in range(6000)}
    many["deep"] = dag.directory({"file": dag.file(b"found")})
    root = dag.directory({"flat": dag.directory({"many": dag.directory(many)})}).cid
    found = dag.answer(resolve(root, ["flat", "many", "deep", "file"]))
    assert joined(dag.run(TreeWalk(found.cid, place=found.place))) == b"found"


@pytest.mark.parametrize(
    ("path", "missing"),
    [("x", "x"), ("d/x/y", "d/x"), ("d/f/y", "d/f/y"), ("big/none", "big/none"), ("l/x", "l/x")],
)
def test_what_is_missing_is_named(path: str, missing: str) -> None:
    dag = Dag()
    many = {f"entry-{i:05d}-with-a-long-name": dag.leaf(10) for i in range(6000)}
    root = dag.directory(
        {
            "d": dag.directory({"f": dag.leaf(3)}),
            "big": dag.directory(many),
            "l": dag.symlink("d"),
        }
    ).cid
    with pytest.raises(NotFound, match=f"'{missing}'"):
        dag.answer(resolve(root, path.split("/")))


def test_a_walk_below_a_path_asks_under_the_units_of_the_whole() -> None:
    dag = Dag()
    films = {f"film{i}": dag.claimed_file(700 * MIB) for i in range(4)}
    root = dag.directory({**films, "long": dag.claimed_file(3 * GIB)}).cid
    home = {cid: unit.name for unit in dag.units(root) for cid in dag.unit_blocks(unit)}
    for name in ("film0", "film3", "long"):
        found = dag.answer(resolve(root, [name]))
        for want, _ in dag.steps(TreeWalk(found.cid, place=found.place)):
            assert want is None or want.unit.name == home[want.cid]


def test_a_listing_tells_type_and_size() -> None:
    dag = Dag()
    sub = dag.directory({"x": dag.leaf(7)})
    big = dag.claimed_file(3 * MIB)
    link = dag.symlink("sub")
    root = dag.directory({"sub": sub, "big": big, "a": dag.leaf(9), "link": link}).cid
    assert [(e.name, e.type, e.size_bytes) for e in dag.listed(root)] == [
        ("a", "file", 9),
        ("big", "file", 3 * MIB),
        ("link", "symlink", 3),
        ("sub", "directory", None),
    ]


def test_a_listing_of_shards_is_in_the_order_of_the_hashes() -> None:
    dag = Dag()
    many = {f"entry-{i:05d}-with-a-long-name": dag.leaf(i % 9) for i in range(6000)}
    listed = dag.listed(dag.directory(many).cid)
    assert [entry.name for entry in listed] == sorted(many, key=name_hash)


def test_all_shards_of_a_listing_are_wanted_at_once() -> None:
    dag = Dag()
    many = {f"entry-{i:05d}-with-a-long-name": dag.leaf(i % 9) for i in range(6000)}
    walk = ListWalk(dag.directory(many).cid)
    [root] = walk.next(4096)
    walk.accept(root, dag.read(root.cid))
    assert len(walk.next(4096)) == 256


def test_rows_go_out_as_soon_as_all_before_them_are_known() -> None:
    dag = Dag()
    many = {f"entry-{i:05d}-with-a-long-name": dag.leaf(i % 9) for i in range(6000)}
    walk = ListWalk(dag.directory(many).cid)
    [root] = walk.next(4096)
    walk.accept(root, dag.read(root.cid))
    first, second = walk.next(2)
    assert walk.accept(second, dag.read(second.cid)) == []
    rows = walk.accept(first, dag.read(first.cid))
    assert len(rows) == len(dag.read(first.cid).links) + len(dag.read(second.cid).links)


def test_entries_whose_cid_is_their_content_are_listed_without_what_is_below() -> None:
    dag = Dag()
    few = dag.directory({"x": dag.leaf(5)})
    block = bytes(dag.blocks[few.cid])
    inside = DirectoryChild("", inlined(block, DAG_PB), few.tsize_bytes)
    text = DirectoryChild("", inlined(b"abc"), 3)
    root = dag.directory({"a": text, "dir": inside, "z": dag.leaf(1)}).cid
    assert [(e.name, e.type, e.size_bytes) for e in dag.listed(root)] == [
        ("a", "file", 3),
        ("dir", "directory", None),
        ("z", "file", 1),
    ]


def test_a_file_has_no_listing() -> None:
    dag = Dag()
    with pytest.raises(UsageError, match="not a directory"):
        dag.listed(dag.leaf(5).cid)


def test_a_symbolic_link_is_as_long_as_its_target() -> None:
    dag = Dag()
    link = dag.symlink("some/where")
    assert dag.answer(stat(link.cid)).size_bytes == len("some/where")
    [row] = dag.listed(dag.directory({"link": link}).cid)
    assert row.size_bytes == len("some/where")


def test_stat_reads_one_block() -> None:
    dag = Dag()
    entry = dag.claimed_file(3 * MIB)
    found = dag.answer(stat(entry.cid))
    assert (found.type, found.size_bytes, found.links) == ("file", 3 * MIB, 3)
    assert found.tsize_bytes == entry.tsize_bytes
    assert found.block_bytes == len(dag.blocks[entry.cid])
