"""Every vector of the reference importer holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dhtstore.content.builders.directory import DirectoryChild, build_directory, symlink_block
from dhtstore.content.builders.importer import PROFILES, FileBuilder, FileRoot, Profile
from dhtstore.content.codec.unixfs import DagNode, Metadata, read_node
from dhtstore.model.block import Block
from dhtstore.model.cid import Cid


def read(name: str) -> list[dict[str, Any]]:
    file = Path(__file__).parents[2] / "vectors" / name
    vectors: list[dict[str, Any]] = json.loads(file.read_text())["vectors"]
    return vectors


VECTORS, WITH_METADATA = read("unixfs.json"), read("unixfs-metadata.json")
IN_DIRECTORIES = Metadata(0o600, (1_700_000_000, 0))


def content(path: str, size: int) -> bytes:
    return hashlib.shake_128(b"dhtstore:" + path.encode()).digest(size)


def import_file(
    data: bytes, profile: Profile, cids: set[Cid], metadata: Metadata | None = None
) -> FileRoot:
    builder = FileBuilder(profile)
    step = profile.chunk_size_bytes
    for start in range(0, max(len(data), 1), step):
        leaf = profile.leaf(data[start : start + step])
        cids.add(leaf.cid)
        cids.update(
            block.cid for block in builder.add_leaf(leaf.cid, len(data[start : start + step]))
        )
    root = builder.finish(metadata, data)
    cids.update(block.cid for block in root.blocks)
    return root


def import_zeros(size: int, profile: Profile, cids: set[Cid]) -> FileRoot:
    """Leaves are hashed by the caller, so a gigabyte of them costs one hash."""
    builder = FileBuilder(profile)
    full = profile.leaf(bytes(profile.chunk_size_bytes))
    whole, rest = divmod(size, profile.chunk_size_bytes)
    for _ in range(whole):
        cids.update(block.cid for block in builder.add_leaf(full.cid, profile.chunk_size_bytes))
    cids.add(full.cid)
    if rest:
        last = profile.leaf(bytes(rest))
        cids.add(last.cid)
        cids.update(block.cid for block in builder.add_leaf(last.cid, rest))
    root = builder.finish()
    cids.update(block.cid for block in root.blocks)
    return root


def import_tree(
    paths: dict[str, int], profile: Profile, cids: set[Cid], at: str = ""
) -> DirectoryChild:
    entries = []
    for name in sorted({path.split("/")[0] for path in paths}):
        if name in paths:
            root = import_file(content(at + name, paths[name]), profile, cids)
            entries.append(DirectoryChild(name, root.cid, root.tsize_bytes))
        else:
            inner = {
                path.split("/", 1)[1]: size
                for path, size in paths.items()
                if path.startswith(name + "/")
            }
            child = import_tree(inner, profile, cids, f"{at}{name}/")
            entries.append(DirectoryChild(name, child.cid, child.tsize_bytes))
    made = build_directory(entries, profile)
    cids.update(block.cid for block in made.blocks)
    return DirectoryChild("", made.cid, made.tsize_bytes)


def expand(files: dict[str, Any]) -> dict[str, int]:
    if "pattern" not in files:
        return files
    return {files["pattern"].format(i=i): files["size"] for i in range(files["count"])}


def label(vector: dict[str, Any]) -> str:
    return f"{vector['name']}-{vector.get('size', '')}-{vector['profile']}"


def label_with_metadata(vector: dict[str, Any]) -> str:
    what = vector.get("name") or vector["target"]
    return f"{what}-{vector.get('mode')}-{vector.get('mtime')}"


def of_kind(kind: str, vectors: list[dict[str, Any]] = VECTORS) -> list[dict[str, Any]]:
    return [vector for vector in vectors if vector["kind"] == kind]


@pytest.mark.parametrize("vector", of_kind("file"), ids=label)
def test_a_file_gets_the_cid_of_the_reference_importer(vector: dict[str, Any]) -> None:
    profile, cids = PROFILES[vector["profile"]], set[Cid]()
    if vector["name"] == "zeros":
        root = import_zeros(vector["size"], profile, cids)
    else:
        root = import_file(content(vector["name"], vector["size"]), profile, cids)
    assert str(root.cid) == vector["cid"]
    assert root.size_bytes == vector["size"]
    assert len(cids) == vector["blocks"]


@pytest.mark.parametrize("vector", of_kind("directory"), ids=label)
def test_a_directory_gets_the_cid_of_the_reference_importer(vector: dict[str, Any]) -> None:
    cids = set[Cid]()
    root = import_tree(expand(vector["files"]), PROFILES[vector["profile"]], cids)
    assert str(root.cid) == vector["cid"]
    assert len(cids) == vector["blocks"]


def metadata_of(vector: dict[str, Any]) -> Metadata:
    return Metadata(vector.get("mode"), tuple(vector["mtime"]))


def stored(vector: dict[str, Any], block: Block) -> DagNode:
    """What the root says, read back: its mode, where it is not the usual one, and its time."""
    node = read_node(block.cid, bytes(block.data))
    usual = 0o755 if vector["kind"] == "directory" else 0o644
    mode = vector.get("mode")
    assert node.mode == (None if mode == usual else mode)
    assert node.mtime == tuple(vector["mtime"])
    return node


@pytest.mark.parametrize(
    "vector",
    [each for each in of_kind("file", WITH_METADATA) if "mtime" in each],
    ids=label_with_metadata,
)
def test_a_file_with_mode_and_mtime_gets_the_cid_of_the_reference_importer(
    vector: dict[str, Any],
) -> None:
    data = content(vector["name"], vector["size"])
    root = import_file(data, PROFILES[vector["profile"]], set(), metadata_of(vector))
    assert (str(root.cid), root.tsize_bytes) == (vector["cid"], vector["tsize"])
    assert stored(vector, root.blocks[-1]).size_bytes == len(data)


@pytest.mark.parametrize("vector", of_kind("symlink", WITH_METADATA), ids=label_with_metadata)
def test_a_link_with_mtime_gets_the_cid_of_the_reference_importer(vector: dict[str, Any]) -> None:
    block = symlink_block(vector["target"], PROFILES[vector["profile"]], metadata_of(vector))
    assert (str(block.cid), len(block.data)) == (vector["cid"], vector["tsize"])
    stored(vector, block)


@pytest.mark.parametrize("vector", of_kind("directory", WITH_METADATA), ids=label_with_metadata)
def test_a_directory_with_mode_and_mtime_gets_the_cid_of_the_reference_importer(
    vector: dict[str, Any],
) -> None:
    profile, entries = PROFILES[vector["profile"]], []
    for name, size in expand(vector["files"]).items():
        file = import_file(content(name, size), profile, set(), IN_DIRECTORIES)
        entries.append(DirectoryChild(name, file.cid, file.tsize_bytes))
    made = build_directory(entries, profile, metadata_of(vector))
    assert str(made.cid) == vector["cid"]
    stored(vector, made.blocks[-1])


@pytest.mark.parametrize("leaves", [1024, 1025, 1024 * 2])
def test_a_root_that_was_full_before_its_end_gets_the_metadata_all_the_same(leaves: int) -> None:
    """Its node without was made when the last leaf came."""
    profile = PROFILES["unixfs-v1-2025"]
    leaf = profile.leaf(bytes(profile.chunk_size_bytes))
    plain, builder = FileBuilder(profile), FileBuilder(profile)
    for each in (plain, builder):
        for _ in range(leaves):
            each.add_leaf(leaf.cid, profile.chunk_size_bytes)
    root, without = builder.finish(IN_DIRECTORIES), plain.finish()
    node = read_node(root.cid, bytes(root.blocks[-1].data))
    assert (node.mode, node.mtime) == (0o600, (1_700_000_000, 0))
    assert node.size_bytes == without.size_bytes == leaves * profile.chunk_size_bytes
    assert root.height == without.height
    assert root.tsize_bytes - without.tsize_bytes == len(b"\x38\x80\x03\x42\x06") + 6
