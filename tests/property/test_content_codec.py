"""Whatever bytes come, the codec answers with a node or with MalformedDag."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.protobuf import bytes_field, number_field
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage, read_node
from dhtstore.content.dag.file_walk import FileWalk
from dhtstore.content.dag.looking.list_walk import ListWalk
from dhtstore.content.dag.tree_walk import TreeWalk
from dhtstore.content.dag.unit_walk import UnitWalk
from dhtstore.errors import MalformedDag, UsageError
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit

cids = st.builds(
    lambda data, codec: Cid.of(data, codec), st.binary(), st.sampled_from([0x55, 0x70])
)
links = st.builds(DagLink, cids, st.text(max_size=20), st.integers(0, 2**64 - 1))
hostile_fields = st.lists(
    st.one_of(
        st.builds(number_field, st.integers(0, 20), st.integers(0, 2**64)),
        st.builds(bytes_field, st.integers(0, 20), st.binary(max_size=40)),
        st.builds(lambda link: bytes_field(2, dagpb.encode_link(link)), links),
        st.binary(max_size=8),
    ),
    max_size=8,
).map(b"".join)


@given(st.lists(links, max_size=8), st.binary(max_size=50))
def test_what_is_encoded_is_decoded(some: list[DagLink], data: bytes) -> None:
    assert dagpb.decode(dagpb.encode(some, data)) == (some, data)


@given(st.binary(max_size=60), st.lists(st.integers(1, 2**40), max_size=6))
def test_a_file_node_is_read_as_it_was_written(content: bytes, sizes: list[int]) -> None:
    total = len(content) + sum(sizes)
    message = UnixfsMessage(Kind.FILE, content, total, sizes)
    child = Cid.of(b"")
    block = dagpb.encode([DagLink(child, "", size) for size in sizes], unixfs.encode(message))
    node = read_node(Cid.of(block, DAG_PB), block)
    assert (node.content, node.sizes, node.size_bytes) == (content, sizes, total)


def answer(block: bytes) -> None:
    cid = Cid.of(block, DAG_PB)
    node = read_node(cid, block)
    for walk in (FileWalk(cid), TreeWalk(cid), ListWalk(cid), UnitWalk(Unit.of((cid,), 0))):
        with suppress(MalformedDag, UsageError):
            walk.accept(walk.next(1)[0], node)
            walk.next(100)


@given(st.one_of(st.binary(max_size=200), hostile_fields))
def test_any_block_is_answered_or_refused(block: bytes) -> None:
    with suppress(MalformedDag):
        answer(block)


@given(st.lists(links, max_size=4), hostile_fields, st.sampled_from(Kind))
def test_any_unixfs_message_is_answered_or_refused(
    some: list[DagLink], message: bytes, kind: Kind
) -> None:
    with suppress(MalformedDag):
        answer(dagpb.encode(some, number_field(1, kind) + message))
