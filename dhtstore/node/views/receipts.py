"""receipts: what holders signed for a root that was put from here, checked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dhtstore.errors import NotHere
from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.signing import check
from dhtstore.node.views.spelling import receipt_text
from dhtstore.operations.keeping import SignedReceipt

if TYPE_CHECKING:
    from dhtstore.node.node import Node


async def receipts(node: Node, root: Cid) -> list[SignedReceipt]:
    """Needs no network.  Raises NotHere, and InvalidSignature if one does not verify."""
    found = await node.ports.blocking.run(node.receipts.for_root, root)
    if not found:
        raise NotHere(f"no receipts for {root} here: it was not put from this node")
    own = node.settings.network
    for receipt in found:
        check(receipt, Network(receipt.network, own.key), node.ports.crypto)
    return [receipt_text(receipt) for receipt in found]
