"""Walks refuse what must not be trusted, and hold their bounds."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dhtstore.content.builders.directory import DirectoryChild, build_directory, symlink_block
from dhtstore.content.builders.importer import UNIXFS_V0_2015, UNIXFS_V1_2025
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.hamt import name_hash
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage, read_node
from dhtstore.content.dag import dag_walk
from dhtstore.content.dag.file_walk import FileWalk, RangeWalk
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.walk import Directory, File, Leaf, Symlink, Walk, Want
from dhtstore.errors import MalformedDag, SymlinkAlone, UnreadableSource, UsageError
from dhtstore.model.cid import DAG_PB, RAW, Cid
from dhtstore.model.names import name_of
from dhtstore.model.unit import Unit
from dhtstore.params import DAG_DEPTH_MAX, GIB, WALK_HELD_MAX_BYTES
from tests.unit.content.dags import Dag, joined


def inline(data: bytes, codec: int = RAW) -> Cid:
    assert len(data) < 0x80
    return Cid(bytes((1, codec, 0, len(data))) + data)


def whole(root: Cid) -> UnitWalk:
    return UnitWalk(Unit.of((root,), 0))


EVERY_WALK: list[Callable[[Cid], Walk]] = [FileWalk, TreeWalk, whole]
TREE_WALKS: list[Callable[[Cid], Walk]] = [TreeWalk, whole]


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("start_walk", EVERY_WALK)
@pytest.mark.parametrize("claimed", [9, 11])
def test_a_block_size_that_lies_is_refused(start_walk: Callable[[Cid], Walk], claimed: int) -> None:
    dag = Dag()
    root = dag.join([(dag.leaf(10).cid, claimed)])
    with pytest.raises(MalformedDag, match="claims"):
        dag.run(start_walk(root))


@pytest.mark.parametrize("start_walk", EVERY_WALK)
def test_a_directory_inside_a_file_is_refused(start_walk: Callable[[Cid], Walk]) -> None:
    dag = Dag()
    root = dag.join([(dag.directory({"a": dag.leaf(5)}).cid, 5)])
    with pytest.raises(MalformedDag, match="stands in a file"):
        dag.run(start_walk(root))


@pytest.mark.parametrize("start_walk", EVERY_WALK)
def test_a_chain_that_is_too_deep_is_refused(start_walk: Callable[[Cid], Walk]) -> None:
    dag = Dag()
    part = (dag.leaf(5).cid, 5)
    for _ in range(DAG_DEPTH_MAX + 1):
        part = (dag.join([part]), 5)
    with pytest.raises(MalformedDag, match="levels"):
        dag.run(start_walk(part[0]))


def test_a_file_bomb_cannot_claim_its_size() -> None:
    dag = Dag()
    part, size = dag.leaf(1).cid, 1
    for _ in range(6):
        part, size = dag.join([(part, size)] * 1000), size * 1000
    assert len(dag.units(part)) == 4  # the top, two runs of spines, one unit of content
    root = dag.join([(part, size)] * 2)
    with pytest.raises(MalformedDag, match="claims"):
        dag.run(FileWalk(root))


def test_bytes_in_interior_nodes_come_before_those_of_children() -> None:
    dag = Dag()
    leaf = dag.file(b"tail").cid
    root = dag.join([(leaf, 4), (dag.join([(leaf, 4)], b"inner "), 10)], b"head ")
    assert joined(dag.run(TreeWalk(root), seed=3)) == b"head tailinner tail"
    assert joined(dag.run(RangeWalk(root, 3, 11))) == b"d tailin"


def test_a_file_walk_of_a_directory_says_so() -> None:
    dag = Dag()
    with pytest.raises(UsageError, match="directory, not a file"):
        dag.run(FileWalk(dag.directory({}).cid))


def test_a_range_wants_only_the_blocks_it_needs() -> None:
    dag = Dag()
    root = dag.claimed_file(20 << 20)
    assert len(dag.wants(RangeWalk(root.cid, 3 << 20, (4 << 20) + 1))) == 1 + 2
    assert len(dag.wants(RangeWalk(root.cid, -1, None))) == 1 + 1


def test_a_piece_of_a_raw_leaf_is_the_block_itself() -> None:
    dag = Dag()
    entry = dag.leaf(1 << 20)
    walk = TreeWalk(entry.cid)
    (want,) = walk.next(1)
    view = memoryview(bytes(1 << 20))
    file, piece = walk.accept(want, read_node(want.cid, view))
    assert file == File((), 1 << 20)
    assert getattr(piece, "data", None) is view


def test_wants_come_in_dag_order_and_leftmost_first() -> None:
    dag = Dag()
    halves = [[dag.leaf(10).cid for _ in range(3)] for _ in range(2)]
    nodes = [dag.join([(cid, 10) for cid in half]) for half in halves]
    walk = TreeWalk(dag.join([(cid, 30) for cid in nodes]))
    (top,) = walk.next(9)
    assert walk.next(9) == []
    walk.accept(top, dag.read(top.cid))
    first, second = walk.next(9)
    assert [first.cid, second.cid] == nodes
    walk.accept(second, dag.read(second.cid))
    walk.accept(first, dag.read(first.cid))
    assert [want.cid for want in walk.next(9)] == halves[0] + halves[1]


@pytest.mark.parametrize("start_walk", EVERY_WALK)
def test_only_raw_blocks_inside_files_are_leaves(start_walk: Callable[[Cid], Walk]) -> None:
    dag = Dag()
    walk = start_walk(dag.claimed_file((2 << 20) + 5).cid)
    (top,) = walk.next(9)
    assert walk.leaf(top) is None
    walk.accept(top, dag.read(top.cid))
    leaves = [walk.leaf(want) for want in walk.next(9)]
    assert leaves == [Leaf((), 0, 1 << 20), Leaf((), 1 << 20, 1 << 20), Leaf((), 2 << 20, 5)]


def test_a_walk_with_every_leaf_skipped_counts_the_same() -> None:
    dag = Dag()
    root = dag.directory({"a": dag.claimed_file(5 << 20), "b": dag.leaf(7)}).cid
    walk, full = whole(root), whole(root)
    dag.run(full)
    while wants := walk.next(9):
        for want in wants:
            leaf = walk.leaf(want)
            if leaf is not None:
                walk.skip(want, leaf.size_bytes)
            else:
                walk.accept(want, dag.read(want.cid))
    assert walk.done
    assert (walk.blocks, walk.size_bytes) == (full.blocks, full.size_bytes)


# --- inlined content ------------------------------------------------------------------------


def test_inlined_blocks_are_never_wanted() -> None:
    dag = Dag()
    root = dag.join([(inline(b"one "), 4), (dag.file(b"two ").cid, 4), (inline(b"three"), 5)])
    assert joined(dag.run(TreeWalk(root))) == b"one two three"
    assert dag.wants(TreeWalk(root)) == [root, dag.file(b"two ").cid]
    assert len(dag.unit_blocks(Unit.of((root,), 13))) == 2


def test_an_inlined_root_is_known_before_any_block() -> None:
    walk = FileWalk(inline(b"all of it"))
    assert walk.done
    assert joined(walk.opening) == b"all of it"


def test_an_inlined_node_leads_to_real_blocks() -> None:
    dag = Dag()
    node = dag.blocks[dag.join([(dag.file(b"real").cid, 4)])]
    assert joined(dag.run(TreeWalk(inline(bytes(node), DAG_PB)))) == b"real"


# --- directories ----------------------------------------------------------------------------


def test_a_tree_of_every_kind_of_node() -> None:
    dag = Dag()
    sub = dag.directory(
        {"old": dag.file(b"y" * 600_000, UNIXFS_V0_2015), "up": dag.symlink("../a")}
    )
    root = dag.directory({"a": dag.file(b"x"), "sub": sub, "empty": dag.file(b"")}).cid
    outputs = dag.run(TreeWalk(root), seed=1)
    assert outputs[0] == Directory(())
    assert Symlink(("sub", "up"), "../a") in outputs
    assert File(("empty",), 0) in outputs
    assert joined(outputs, ("sub", "old")) == b"y" * 600_000


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "..", "../..", "../x/../..", "x/..", "a/../../b", "./../..", "a\0b", "//x"],
)
def test_a_symlink_that_may_lead_out_is_refused(target: str) -> None:
    dag = Dag()
    root = dag.directory({"link": dag.symlink(target)}).cid
    with pytest.raises(MalformedDag, match="lead out"):
        dag.run(TreeWalk(root))


@pytest.mark.parametrize("target", ["..", "../..", "../../a/b", "x", ".././x", "...", "a/..b"])
def test_a_symlink_that_stays_inside_is_kept(target: str) -> None:
    dag = Dag()
    inner = dag.directory({"link": dag.symlink(target)})
    root = dag.directory({"d": dag.directory({"e": inner})}).cid
    assert Symlink(("d", "e", "link"), target) in dag.run(TreeWalk(root))


@pytest.mark.parametrize("target", ["neighbour", "/etc/passwd"])
def test_a_symlink_alone_is_named_as_such(target: str) -> None:
    dag = Dag()
    with pytest.raises(SymlinkAlone, match=f"is a symbolic link to '{target}'"):
        dag.run(TreeWalk(dag.symlink(target).cid))


def test_a_symlink_target_outside_utf8_is_a_name_that_stands_for_its_bytes() -> None:
    dag = Dag()
    link = dag.node([], UnixfsMessage(Kind.SYMLINK, b"caf\xe9/x"))
    output = dag.run(TreeWalk(dag.directory({"l": DirectoryChild("", link, 10)}).cid))
    assert Symlink(("l",), "caf\uf7e9/x") in output


def test_a_directory_that_claims_less_than_its_links_is_refused() -> None:
    dag = Dag()
    inner = dag.directory({"a": dag.leaf(1000)})
    root = dag.directory({"d": DirectoryChild("", inner.cid, 999)}).cid
    for start_walk in TREE_WALKS:
        with pytest.raises(MalformedDag, match="claims 999"):
            dag.run(start_walk(root))


def bomb(dag: Dag, tsize: int) -> Cid:
    node = dag.directory({"end": dag.leaf(1)})
    for _ in range(30):
        links = [DagLink(node.cid, f"{i:03d}", tsize) for i in range(1000)]
        node = DirectoryChild("", dag.node(links, UnixfsMessage(Kind.DIRECTORY)), tsize)
    return node.cid


@pytest.mark.parametrize(("tsize", "why"), [(0, "claim no size"), (10**9, "claims")])
def test_a_bomb_of_directories_is_refused_soon(
    tsize: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_walk, "TREE_UNCLAIMED_MAX", 5000)
    dag = Dag()
    with pytest.raises(MalformedDag, match=why):
        dag.run(TreeWalk(bomb(dag, tsize)))


def test_a_bomb_of_directories_is_small_as_a_unit_and_in_units() -> None:
    dag = Dag()
    root = bomb(dag, 0)
    walk = whole(root)
    dag.run(walk)
    assert walk.blocks == len(dag.blocks)
    assert dag.units(bomb(dag, 10**10))


# --- sharded directories --------------------------------------------------------------------


def shard(dag: Dag, links: list[DagLink], fanout: int = 256) -> Cid:
    slots = sum(1 << int(link.name[: len(f"{fanout - 1:X}")], 16) for link in links)
    field = slots.to_bytes((slots.bit_length() + 7) // 8, "big")
    return dag.node(links, UnixfsMessage(Kind.SHARD, field, hash_type=0x22, fanout=fanout))


def test_a_name_in_the_wrong_slot_is_refused() -> None:
    dag = Dag()
    right = name_hash("name") >> 56
    leaf = dag.leaf(5).cid
    assert dag.run(TreeWalk(shard(dag, [DagLink(leaf, f"{right:02X}name", 5)])))
    with pytest.raises(MalformedDag, match="wrong slot"):
        dag.run(TreeWalk(shard(dag, [DagLink(leaf, f"{right ^ 1:02X}name", 5)])))


def test_a_shard_of_another_fanout_is_refused() -> None:
    dag = Dag()
    below = shard(dag, [DagLink(dag.leaf(5).cid, "000a", 5)], fanout=512)
    with pytest.raises(MalformedDag, match="not a shard like"):
        dag.run(TreeWalk(shard(dag, [DagLink(below, "00", 100)])))


@pytest.mark.parametrize("tsize", [0, 1, 10**9])
def test_a_bomb_of_shards_is_refused_at_once(tsize: int) -> None:
    dag = Dag()
    node, claim = shard(dag, []), tsize
    for _ in range(6):
        node = shard(dag, [DagLink(node, f"{i:02X}", claim) for i in range(256)])
        claim *= 256
    with pytest.raises(MalformedDag):
        dag.run(TreeWalk(node))
    with pytest.raises(MalformedDag):
        dag.run(ListWalk(node))


def test_shards_deeper_than_the_hash_are_refused() -> None:
    dag = Dag()
    top = int(name_hash("name").to_bytes(8, "big").hex(), 16)
    node = shard(dag, [DagLink(dag.leaf(5).cid, f"{top & 255:02X}name", 5)])
    for level in range(8):
        node = shard(dag, [DagLink(node, f"{top >> 8 * level & 255:02X}", 10_000)])
    with pytest.raises(MalformedDag):
        dag.run(TreeWalk(node))


@pytest.mark.parametrize("fanout", [8, 16, 1024])
def test_other_fanouts_are_read(fanout: int) -> None:
    dag = Dag()
    bits, width = fanout.bit_length() - 1, len(f"{fanout - 1:X}")
    first = name_hash("name") >> 64 - bits
    second = name_hash("name") >> 64 - 2 * bits & fanout - 1
    inner = shard(dag, [DagLink(dag.leaf(5).cid, f"{second:0{width}X}name", 5)], fanout)
    root = shard(dag, [DagLink(inner, f"{first:0{width}X}", 1000)], fanout)
    assert File(("name",), 5) in dag.run(TreeWalk(root))


def test_ten_thousand_names_in_shards_come_back() -> None:
    dag = Dag()
    files = {f"entry-{i:05d}-with-a-long-name": dag.leaf(i % 50) for i in range(10_000)}
    outputs = dag.run(TreeWalk(dag.directory(files).cid), seed=1)
    assert {out.path[0] for out in outputs if isinstance(out, File)} == set(files)
    assert sum(isinstance(out, Directory) for out in outputs) == 1


# --- building -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0", "\udcff"])
def test_a_name_that_cannot_be_stored_is_refused(name: str) -> None:
    with pytest.raises(UnreadableSource):
        build_directory([DirectoryChild(name, Cid.of(b""), 0)], UNIXFS_V1_2025)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(UnreadableSource):
        build_directory([DirectoryChild("a", Cid.of(b""), 0)] * 2, UNIXFS_V1_2025)


@pytest.mark.parametrize("raw", [b"caf\xe9/x", "\uf7e9".encode(), "é".encode()])
def test_a_symlink_holds_the_bytes_of_its_target(raw: bytes) -> None:
    block = symlink_block(name_of(raw), UNIXFS_V1_2025)
    assert read_node(block.cid, bytes(block.data)).content == raw


def test_a_directory_is_sharded_from_the_first_byte_above_the_limit() -> None:
    cid = Cid.of(b"")
    entries = [DirectoryChild(f"{i:04d}" + "n" * 200, cid, 1) for i in range(1048)]
    (block,) = build_directory(entries, UNIXFS_V1_2025).blocks
    room = 256 * 1024 - len(block.data)
    last = entries[-1]
    assert 0 <= room < 300
    entries[-1] = DirectoryChild(last.name + "x" * room, cid, 1)
    (exact,) = build_directory(entries, UNIXFS_V1_2025).blocks
    assert len(exact.data) == 256 * 1024
    entries[-1] = DirectoryChild(last.name + "x" * (room + 1), cid, 1)
    assert len(build_directory(entries, UNIXFS_V1_2025).blocks) > 1


def test_what_a_walk_holds_stays_within_its_bound() -> None:
    dag = Dag()
    gib = dag.claimed_file(GIB).cid
    walk = TreeWalk(dag.join([(gib, GIB)] * 1000))
    rng, waiting, most = random.Random(1), list(walk.next(64)), 0
    for _ in range(20_000):
        want = waiting.pop(rng.randrange(len(waiting)))
        walk.accept(want, dag.read(want.cid))
        waiting += walk.next(64 - len(waiting))
        most = max(most, walk._frontier.held_bytes)
    assert most <= WALK_HELD_MAX_BYTES


@pytest.mark.parametrize("tail", [False, True])
def test_the_first_byte_comes_after_as_few_blocks_however_large_the_file(tail: bool) -> None:
    """All blocks that link to leaves were wanted before the first of those: 5 MB of 100 GiB."""
    before: list[tuple[int, int]] = []
    for gib in (4, 100):
        dag = Dag()
        root = dag.claimed_file(gib << 30, 2 << 20).cid
        walk = RangeWalk(root, -1, None) if tail else FileWalk(root)
        waiting, count, size_bytes = list[Want](), 0, 0
        while True:
            waiting += walk.next(128)
            want = waiting.pop(0)
            if want.cid.codec == RAW:
                break
            block = dag.blocks[want.cid]
            count, size_bytes = count + 1, size_bytes + len(block)
            walk.accept(want, read_node(want.cid, block))
        before.append((count, size_bytes))
    assert before[0][0] == before[1][0] == 2, "the root, and one below it"
    assert before[1][1] < before[0][1] + 16_000, "the root has a link for each 2 GiB"
