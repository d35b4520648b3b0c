"""Whose question a node looks into next."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import PeerRefused
from dhtstore.node.checking.turns import OriginTurns


async def test_an_origin_that_asks_much_keeps_others_waiting_for_one_question_only() -> None:
    turns, order = OriginTurns(60.0), list[str]()

    async def ask(origin: str) -> None:
        async with turns.of(origin):
            order.append(origin)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(origin) for origin in ("many", "many", "many", "few")))
    assert order == ["many", "few", "many", "many"]


async def test_who_waits_too_long_is_told_so_and_stands_in_nobodys_way() -> None:
    turns = OriginTurns(0.0)
    async with turns.of("first"):
        for origin in ("first", "second"):
            with pytest.raises(PeerRefused, match="ask later"):
                async with turns.of(origin):
                    raise AssertionError("two at once")
    async with turns.of("second"):
        pass
