"""Every vector of the reference importer holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dhtstore.content.builders.directory import DirectoryChild, build_directory
from dhtstore.content.builders.importer import PROFILES, FileBuilder, FileRoot, Profile
from dhtstore.model.cid import Cid

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "unixfs.json").read_text()
)["vectors"]


def content(path: str, size: int) -> bytes:
    return hashlib.shake_128(b"dhtstore:" + path.encode()).digest(size)


def import_file(data: bytes, profile: Profile, cids: set[Cid]) -> FileRoot:
    builder = FileBuilder(profile)
    step = profile.chunk_size_bytes
    for start in range(0, max(len(data), 1), step):
        leaf = profile.leaf(data[start : start + step])
        cids.add(leaf.cid)
        cids.update(
            block.cid for block in builder.add_leaf(leaf.cid, len(data[start : start + step]))
        )
    root = builder.finish()
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


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS if vector["kind"] == kind]


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
