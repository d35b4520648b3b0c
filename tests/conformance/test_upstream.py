"""The tests that ``kademlia`` ships, for those of its parts that are in use here: a gate.

``TestNode`` and ``TestNodeHeap`` are its own, collected here; each runs with the library's ``Node``
and with our ``Peer`` in its place.  ``BESIDE`` says of each other test why it does not apply.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack
from typing import Any, Final

import kademlia.tests
import pytest
from kademlia.node import Node
from kademlia.tests import test_node
from kademlia.tests.test_node import TestNode, TestNodeHeap

from dhtstore.dht.core.peer import Peer
from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import NodeId, PublicKey

__all__ = ["TestNode", "TestNodeHeap"]  # collected, with the fixtures below

BUCKET: Final = (
    "our Bucket is none of the library's: parallel lists without a range of its own, never split, "
    "replacements of which the last are kept; tests/unit/dht/test_table.py and "
    "tests/property/test_table.py"
)
TABLE: Final = (
    "our Table has a bucket for each length of a shared prefix, only lets in who answered, and "
    "goes through its buckets by distance; tests/property/test_table.py holds it to a sorted list"
)
SERVER: Final = (
    "the library's Server is not used: it stores any value for anybody; tests/unit/dht/"
    "test_service.py stores and finds records, tests/defects shows what is wrong with set and get"
)
STORAGE: Final = (
    "IStorage is not used: it knows one value a key and no signature; tests/unit/dht/"
    "test_record_stores.py; this class is never collected upstream either, for its name"
)
UTILS: Final = (
    "kademlia.utils is not used: ids are SHA-256 of keys, and nothing counts bits as text"
)
BESIDE: Final[dict[str, str]] = {
    "test_routing.TestKBucket.test_split": BUCKET,
    "test_routing.TestKBucket.test_split_no_overlap": BUCKET,
    "test_routing.TestKBucket.test_add_node": BUCKET,
    "test_routing.TestKBucket.test_remove_node": BUCKET,
    "test_routing.TestKBucket.test_in_range": BUCKET,
    "test_routing.TestKBucket.test_replacement_factor": BUCKET,
    "test_routing.TestRoutingTable.test_add_contact": TABLE,
    "test_routing.TestTableTraverser.test_iteration": TABLE,
    "test_server.test_storing": SERVER,
    "test_server.TestSwappableProtocol.test_default_protocol": SERVER,
    "test_server.TestSwappableProtocol.test_custom_protocol": SERVER,
    "test_storage.ForgetfulStorageTest.test_storing": STORAGE,
    "test_storage.ForgetfulStorageTest.test_forgetting": STORAGE,
    "test_storage.ForgetfulStorageTest.test_iter": STORAGE,
    "test_storage.ForgetfulStorageTest.test_iter_old": STORAGE,
    "test_utils.TestUtils.test_digest": UTILS,
    "test_utils.TestUtils.test_shared_prefix": UTILS,
}


def our_node(node_id: bytes, ip: str | None = None, port: int | None = None) -> Peer:
    """What the library's tests make a ``Node`` of, as a Peer; its id is not that of its key."""
    where = Address(ip or "127.0.0.1", port or 1)
    return Peer(Contact(PublicKey(bytes(32)), where, NodeId(node_id), False), b"")


@pytest.fixture(autouse=True, params=[Node, our_node], ids=["Node", "Peer"])
def node(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Takes the place of ``Node`` in the library's tests."""
    monkeypatch.setattr(test_node, "Node", request.param)
    return request.param


@pytest.fixture
def mknode(node: Callable[..., Node]) -> Callable[..., Node]:
    """As in the library's conftest."""

    def make(node_id: bytes | None = None, intid: int | None = None) -> Node:
        if intid is not None:
            node_id = pack(">l", intid)
        return node(node_id or random.randbytes(20))

    return make


def test_each_test_of_the_library_runs_here_or_has_its_reason() -> None:
    """A later version with other tests is noticed."""
    here = {f"test_node.{name}" for name in _within("test_node.py")}
    folder = Path(str(kademlia.tests.__file__)).parent
    every = {
        f"{path.stem}.{name}" for path in folder.glob("test_*.py") for name in _within(path.name)
    }
    assert every == here | BESIDE.keys()
    assert len(here) == 5


def _within(name: str) -> Iterator[str]:
    """The tests of a file of the library, with their classes."""
    path = Path(str(kademlia.tests.__file__)).with_name(name)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
            yield from (f"{node.name}.{each}" for each in names if each.startswith("test_"))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from [node.name] if node.name.startswith("test_") else []
