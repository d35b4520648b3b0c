"""What goes in comes out: import, walk, range, list, cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhtstore.content.builders.directory import DirectoryChild
from dhtstore.content.builders.importer import UNIXFS_V0_2015, UNIXFS_V1_2025, Profile
from dhtstore.content.codec.hamt import name_hash
from dhtstore.content.codec.unixfs import DagNode
from dhtstore.content.dag import frontier
from dhtstore.content.dag.file_walk import FileWalk, RangeWalk
from dhtstore.content.dag.looking.resolve import resolve, stat
from dhtstore.content.dag.seen import Seen
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.content.dag.walk import Directory, File, Output, Want
from dhtstore.errors import UsageError
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from dhtstore.params import GIB, MIB
from tests.unit.content.dags import Dag, joined

profiles = st.builds(
    lambda base, chunk, links: replace(base, chunk_size_bytes=chunk, links_max=links),
    st.sampled_from([UNIXFS_V1_2025, UNIXFS_V0_2015]),
    st.integers(1, 40),
    st.integers(2, 5),
)
SMALL_PARTS = replace(UNIXFS_V1_2025, chunk_size_bytes=9, links_max=3)
names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))


@given(st.binary(max_size=600), profiles, st.integers(1, 9), st.integers(0, 9))
def test_a_file_comes_back_in_any_order_of_arrival(
    data: bytes, profile: Profile, limit: int, seed: int
) -> None:
    dag = Dag()
    root = dag.file(data, profile).cid
    for walk in (FileWalk(root), TreeWalk(root)):
        outputs = dag.run(walk, limit=limit, seed=seed)
        assert outputs[0] == File((), len(data))
        assert joined(outputs) == data


@given(
    st.binary(max_size=400),
    profiles,
    st.integers(-450, 450),
    st.none() | st.integers(0, 450),
    st.integers(0, 99),
)
def test_a_range_is_the_slice_or_an_error_before_any_output(
    data: bytes, profile: Profile, start: int, end: int | None, seed: int
) -> None:
    dag = Dag()
    root = dag.file(data, profile).cid
    inside = -len(data) <= start < len(data) and (end is None or 0 <= start < end <= len(data))
    if not inside:
        with pytest.raises(UsageError, match="range"):
            dag.run(RangeWalk(root, start, end))
        return
    outputs = dag.run(RangeWalk(root, start, end), seed=seed)
    assert outputs[0] == File((), len(data[start:end]))
    assert joined(outputs) == data[start:end]


@given(st.dictionaries(names, st.binary(max_size=8), max_size=30), st.booleans())
def test_a_directory_lists_and_resolves_what_it_was_built_from(
    files: dict[str, bytes], old: bool
) -> None:
    dag, profile = Dag(), UNIXFS_V0_2015 if old else UNIXFS_V1_2025
    entries = {name: dag.file(data, profile) for name, data in files.items()}
    root = dag.directory(entries, profile).cid
    listed = dag.listed(root)
    assert {entry.name: (entry.cid, entry.size_bytes) for entry in listed} == {
        name: (entries[name].cid, len(data)) for name, data in files.items()
    }
    for name, entry in entries.items():
        assert dag.answer(resolve(root, [name])).cid == entry.cid


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_a_sharded_directory_lists_and_resolves_what_it_was_built_from(seed: int) -> None:
    dag, rng = Dag(), Random(seed)
    files = {f"{rng.getrandbits(4000):01000x}": dag.leaf(rng.randrange(9)) for _ in range(300)}
    root = dag.directory(files).cid
    assert dag.answer(stat(root)).type == "directory"
    assert {entry.name: entry.cid for entry in dag.listed(root)} == {
        name: entry.cid for name, entry in files.items()
    }
    for name in list(files)[:20]:
        assert dag.answer(resolve(root, [name])).cid == files[name].cid


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_listing_is_the_same_in_any_order_of_arrival(seed: int, limit: int) -> None:
    """Shards, files of several blocks, directories and links among the entries."""
    dag, rng = Dag(), Random(seed)
    kinds = (
        lambda: dag.leaf(rng.randrange(9)),
        lambda: dag.claimed_file(3 * MIB),
        lambda: dag.symlink("target"),
        lambda: dag.directory({"x": dag.leaf(1)}),
    )
    files = {f"{rng.getrandbits(4000):01000x}": rng.choice(kinds)() for _ in range(300)}
    root = dag.directory(files).cid
    rows = dag.listed(root)
    assert [row.name for row in rows] == sorted(files, key=name_hash)
    assert dag.listed(root, limit=limit, seed=seed) == rows


trees = st.recursive(
    st.binary(max_size=20),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def build(dag: Dag, tree: object, at: tuple[str, ...], files: dict[tuple[str, ...], bytes]):  # type: ignore[no-untyped-def]
    if isinstance(tree, bytes):
        files[at] = tree
        return dag.file(tree)
    assert isinstance(tree, dict)
    return dag.directory({name: build(dag, sub, (*at, name), files) for name, sub in tree.items()})


@given(trees, st.integers(0, 9))
def test_a_tree_comes_back_parents_first(tree: object, seed: int) -> None:
    dag, files = Dag(), dict[tuple[str, ...], bytes]()
    root = build(dag, tree, (), files).cid
    outputs = dag.run(TreeWalk(root), seed=seed)
    made: set[tuple[str, ...]] = set()
    for output in outputs:
        if isinstance(output, File | Directory):
            assert output.path == () or output.path[:-1] in made
            made.add(output.path)
    assert {o.path for o in outputs if isinstance(o, File)} == set(files)
    assert all(joined(outputs, path) == data for path, data in files.items())


@given(trees, st.integers(0, 9))
def test_a_walk_yields_the_same_in_another_thread(tree: object, seed: int) -> None:
    dag = Dag()
    root = build(dag, tree, (), {}).cid
    here = dag.run(TreeWalk(root), seed=seed)
    with ThreadPoolExecutor(3) as pool:
        there = dag.run(_Elsewhere(TreeWalk(root), pool), seed=seed)
    assert there == here


@given(trees, st.binary(max_size=300), st.integers(0, 9), st.integers(0, 9000))
def test_a_walk_that_holds_little_yields_the_same(
    tree: object, data: bytes, seed: int, held_max_bytes: int
) -> None:
    """What does not fit is read once more, and neither lost nor told of twice."""
    dag = Dag()
    file, inner = dag.file(data, SMALL_PARTS), build(dag, tree, (), {})
    known = dag.blocks[dag.directory({"0": dag.file(b"below what is inlined")}).cid]
    inlined = DirectoryChild("", Cid(bytes((1, DAG_PB, 0, len(known))) + bytes(known)), 99)
    beside = {f"many {number}": (file, inner)[number % 2] for number in range(20)}
    outer = dag.directory({"known": inlined, "inner": inner, "file": file, **beside})
    root = dag.directory({"a": outer, "b": file, "c": inner}).cid
    easily, easily_kept = dag.run(TreeWalk(root), seed=seed), UnitWalk(Unit.of((root,), 0))
    once = dag.wants(easily_kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frontier, "WALK_HELD_MAX_BYTES", held_max_bytes)
        hardly, hardly_kept = dag.run(TreeWalk(root), seed=seed), UnitWalk(Unit.of((root,), 0))
        assert set(dag.wants(hardly_kept)) == set(once)
        if data:
            ranged = RangeWalk(file.cid, len(data) // 3, None)
            assert joined(dag.run(ranged, seed=seed)) == data[len(data) // 3 :]
    assert sorted(map(repr, hardly)) == sorted(map(repr, easily))
    assert hardly_kept.blocks == easily_kept.blocks == len(set(once))
    assert hardly_kept.stored_bytes == easily_kept.stored_bytes


@given(st.lists(st.integers(0, 300)), st.integers(0, 200))
def test_what_was_seen_is_told_as_by_a_set(numbers: list[int], count_max: int) -> None:
    seen, known = Seen(count_max), set[int]()
    for number in numbers:
        assert seen.is_new(b"%d" % number) == (number not in known)
        if len(known) < count_max:
            known.add(number)


@dataclass
class _Elsewhere:
    """A walk whose blocks are opened in worker threads, one at a time."""

    walk: TreeWalk
    pool: ThreadPoolExecutor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.walk, name)

    def accept(self, want: Want, node: DagNode) -> list[Output]:
        return self.pool.submit(self.walk.accept, want, node).result()


sizes = st.integers(1, 2 * MIB)


@st.composite
def large_dags(draw: st.DrawFn) -> tuple[Dag, Cid]:
    """Files and directories around the limits of a unit, of distinct blocks."""
    dag = Dag()
    parts = draw(st.lists(st.integers(1, 1600), min_size=1, max_size=8))
    files = {
        f"f{i}": dag.claimed_file(mib * MIB + draw(st.integers(0, 3)), chunk=2 * MIB)
        for i, mib in enumerate(parts)
    }
    split = draw(st.integers(0, len(parts)))
    inner = dag.directory(dict(list(files.items())[:split]))
    return dag, dag.directory({**dict(list(files.items())[split:]), "inner": inner}).cid


@settings(max_examples=15, deadline=None)
@given(large_dags())
def test_units_partition_the_dag(built: tuple[Dag, Cid]) -> None:
    dag, root = built
    home: dict[Cid, Unit] = {}
    for unit in dag.units(root):
        walk = UnitWalk(unit)
        for cid in dag.wants(walk):
            assert cid not in home
            home[cid] = unit
        assert walk.size_bytes <= GIB
    assert set(home) == set(dag.blocks)
    for want, _ in dag.steps(TreeWalk(root)):
        assert want is None or want.unit.name == home[want.cid].name
