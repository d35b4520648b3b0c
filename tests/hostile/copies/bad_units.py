"""Units that are not what their offer says, as their uploader makes them."""

from __future__ import annotations

from dataclasses import replace

from dhtstore.content.codec import dagpb, unixfs
from dhtstore.content.codec.dagpb import DagLink
from dhtstore.content.codec.unixfs import Kind, UnixfsMessage
from dhtstore.content.dag.units import Lineage
from dhtstore.model.block import Block, stored_bytes
from dhtstore.model.cid import DAG_PB, Cid
from dhtstore.model.unit import Unit
from tests.bids import Bid, sign_policy
from tests.unit.node.copies_world import identity_of
from tests.unit.node.data_plane import Peer


def file_of(parts: list[tuple[Cid, int]]) -> Block:
    """A file node above ``parts`` and the sizes that it claims of them."""
    links = [DagLink(cid, "", size) for cid, size in parts]
    sizes = [size for _, size in parts]
    message = UnixfsMessage(Kind.FILE, filesize=sum(sizes), blocksizes=sizes)
    return Block.of(dagpb.encode(links, unixfs.encode(message)), DAG_PB)


def directory_of(entries: list[tuple[str, Cid, int]]) -> Block:
    """A directory, and the sizes that it claims of its entries."""
    links = [DagLink(cid, name, size) for name, cid, size in entries]
    return Block.of(dagpb.encode(links, unixfs.encode(UnixfsMessage(Kind.DIRECTORY))), DAG_PB)


def keep(peer: Peer, *blocks: Block) -> None:
    with peer.store.batch() as batch:
        for block in blocks:
            batch.put(block.cid, block.data)
        batch.commit()


def bid_for(peer: Peer, root: Block, size_bytes: int, others: list[Block]) -> Bid:
    """An honest count of blocks and bytes, whatever their links claim; ``peer`` has them."""
    keep(peer, root, *others)
    identity = identity_of(peer)
    blocks = {block.cid: block for block in (root, *others)}
    stored = sum(stored_bytes(cid, len(block.data)) for cid, block in blocks.items())
    lineage = Lineage(Unit.of((root.cid,), size_bytes), ())
    return Bid(identity, lineage, sign_policy(identity, root.cid), stored, len(blocks))


def understated(bid: Bid, stored: int) -> Bid:
    return replace(bid, stored=stored, blocks=1)
