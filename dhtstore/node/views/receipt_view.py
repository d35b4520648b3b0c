"""Receipts as JSON holds them: every field, bytes as text, enough to verify one offline."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.errors import InvalidCid
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.model.receipt import Receipt


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """``unit`` is a CID where the unit has one root, else the hex of its hash; keys and the
    signature are hex; times are unix seconds, ``expires`` 0 for "until removed"."""

    version: int
    network: str
    node: str
    public_key: str
    unit: str
    root: str
    size: int
    blocks: int
    owner: str
    policy_seq: int
    time: int
    expires: int
    signature: str

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptView:
        return cls(
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
            time=receipt.time,
            expires=receipt.expires,
            signature=receipt.signature.hex(),
        )


def unit_text(name: bytes) -> str:
    """How a unit's name is written everywhere."""
    try:
        return str(Cid.decode(name))
    except (InvalidCid, IndexError):
        return name.hex()
