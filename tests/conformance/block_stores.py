"""Blocks for the tests that every BlockStore is held to."""

from __future__ import annotations

import random
from collections.abc import Callable

from dhtstore.model.cid import RAW, Cid
from dhtstore.store.blocks.contract import BlockStore

Open = Callable[[int | None], BlockStore]


def block(number: int, size: int = 1000, codec: int = RAW) -> tuple[Cid, bytes]:
    data = random.Random(number).randbytes(size)
    return Cid.of(data, codec), data


def put(store: BlockStore, *blocks: tuple[Cid, bytes]) -> None:
    with store.batch() as batch:
        for cid, data in blocks:
            batch.put(cid, data)
        batch.commit()
