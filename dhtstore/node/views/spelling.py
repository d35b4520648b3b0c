"""How values are written for people and in JSON."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import unit_text
from dhtstore.operations.keeping import SignedReceipt
from dhtstore.operations.moment import Moment
from dhtstore.params import SIGNATURE_BYTES


def receipt_text(receipt: Receipt) -> SignedReceipt:
    """Every field of a receipt, bytes as text."""
    return SignedReceipt(
        version=receipt.version,
        network=receipt.network,
        node=format_node(receipt.node_id),
        public_key=receipt.public_key.hex(),
        unit=unit_text(receipt.unit),
        root=str(Cid(receipt.root)),
        size=receipt.size,
        blocks=receipt.blocks,
        owner=receipt.owner.hex(),
        policy_seq=receipt.policy_seq,
        time=Moment.at(receipt.time),
        expires=Moment.at_or_never(receipt.expires),
        signature=receipt.signature.hex(),
        body=receipt.packed[SIGNATURE_BYTES:].hex(),
    )
