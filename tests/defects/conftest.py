"""Each scene of ours runs on both endpoints, each of the stock library's likewise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.defects.loopback import LoopbackWorld
from tests.defects.stock import StockPlay, play_stock
from tests.unit.dht.world import World, play

OurPlay = Callable[..., Any]
ENDPOINTS = ("udp", "simulated")


@pytest.fixture(params=ENDPOINTS)
def ours(request: pytest.FixtureRequest) -> OurPlay:
    """``tests.unit.dht.world.play`` in a world with that endpoint."""
    kind = LoopbackWorld if request.param == "udp" else World
    return lambda scene, **settings: play(scene, kind, **settings)


@pytest.fixture(params=ENDPOINTS)
def stock(request: pytest.FixtureRequest) -> StockPlay:
    """Runs a scene of stock servers on UDP or in memory."""
    return lambda scene: play_stock(scene, udp=request.param == "udp")
