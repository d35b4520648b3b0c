"""Receipts: a holder's signed word that a unit is on its disk, verifiable offline."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.model.signing import Signed


class Receipt(Signed, msgspec.Struct, frozen=True, array_like=True):
    """Signed only after the holder walked the unit from its roots and found every block
    present, verified and fsynced.  Times are unix seconds; ``expires`` 0 means "until removed".
    """

    signing_domain: ClassVar[bytes] = b"dhtstore/receipt/1\0"

    version: int  # RECEIPT_VERSION: of what the fields mean
    network: str
    node: bytes
    public_key: bytes
    unit: bytes  # Unit.name
    root: bytes  # binary CID of the DAG the unit belongs to
    size: int  # content bytes of the unit
    blocks: int
    owner: bytes
    policy_seq: int
    time: int
    expires: int
    stored: int = 0  # bytes on disk, with interior blocks and index rows: what is charged

    @property
    def signer(self) -> PublicKey:
        return PublicKey(self.public_key)

    @property
    def node_id(self) -> NodeId:
        return node_id(self.signer)
