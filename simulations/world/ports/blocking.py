"""Blocking work done at once, in the caller (``dhtstore.net.ports``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class InlineBlocking:
    """Runs disk work and hashing in the caller: no threads, no reordering.

    ``delay_s`` is what each call takes first, for a slow disk; 0 does not even yield.
    """

    def __init__(self) -> None:
        self.delay_s = 0.0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return function(*args)

    async def close(self) -> None:
        """Nothing runs."""
