"""What an attack is given, and how many strangers do the same until it is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from benchmarks.hostile.kit.stranger import Stranger, Target
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.net.ports import Crypto
from dhtstore.tasks import Supervisor, tell_the_loop

AGAIN_S: Final = 0.05  # before a stranger that was turned away comes back under a new key


@dataclass(frozen=True, slots=True)
class Field:
    """``stranger`` makes a new one at the origin (address prefix) of that number, ``known`` names
    the roots that honest users have put at the target, ``user`` is an honest node that asks it;
    ``connect`` opens a bare TCP connection from an origin, where there are real sockets."""

    target: Target
    stranger: Callable[[int], Stranger]
    owner: Callable[[], Crypto]
    rng: random.Random
    known: Callable[[], Sequence[Cid]]
    user: Target | None = None
    connect: Callable[[int], Awaitable[Wire]] | None = None


Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Attack = Callable[[Field], Awaitable[None]]  # goes on until it is cancelled
Work = Callable[[Stranger], Awaitable[None]]


async def crowd(field: Field, count: int, work: Work, *, origins: int) -> None:
    """``count`` strangers at ``origins`` address prefixes at work, each again and again."""
    crew = Supervisor(on_failure=tell_the_loop)
    try:
        for number in range(count):
            crew.spawn(_again(field, number % origins, work), "stranger")
        await asyncio.Event().wait()
    finally:
        await crew.close()


async def _again(field: Field, origin: int, work: Work) -> None:
    while True:
        stranger = field.stranger(origin)
        try:
            with suppress(DhtstoreError, OSError, TimeoutError):
                await work(stranger)
        finally:
            await stranger.close()
        await asyncio.sleep(AGAIN_S)
