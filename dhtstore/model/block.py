"""A block: immutable bytes with the CID that names them."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.model.cid import RAW, Cid


@dataclass(frozen=True, slots=True)
class Block:
    """``data`` hashes to ``cid``: whoever builds one has computed or verified that."""

    cid: Cid
    data: bytes | bytearray | memoryview

    @classmethod
    def of(cls, data: bytes, codec: int = RAW) -> Block:
        return cls(Cid.of(data, codec), data)
