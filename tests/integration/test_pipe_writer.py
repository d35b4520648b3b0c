"""The pipe of a command whose reader goes away, as in ``dhtstore cat CID | head``."""

from __future__ import annotations

import asyncio
import os

import pytest

from dhtstore.errors import NotRunning
from dhtstore.net.local.pipes import PipeWriter


async def _write_past_a_reader_that_left() -> None:
    read_end, write_end = os.pipe()
    async with PipeWriter(write_end) as pipe:
        await pipe.write(b"first")
        os.close(read_end)
        for _ in range(10):  # the transport learns of it, and ends, before the next write
            await asyncio.sleep(0)
        await pipe.write(b"second")


async def test_a_reader_that_went_away_ends_the_writing_with_its_reason() -> None:
    with pytest.raises(NotRunning):
        await _write_past_a_reader_that_left()
