"""What every Clock, Entropy and Blocking keeps to, real or simulated."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.ports import Blocking, Clock, Entropy, Jump
from dhtstore.net.threads import ThreadBlocking
from dhtstore.tasks import Supervisor
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import SimClock
from simulations.world.ports.entropy import SimEntropy


@dataclass(frozen=True, slots=True)
class World:
    """One way to have time, chance and a place for slow work."""

    clock: Clock
    entropy: Entropy
    blocking: Blocking


Scene = Callable[[World], Awaitable[None]]
Play = Callable[[Scene], None]


async def _play(world: World, scene: Scene) -> None:
    try:
        await scene(world)
    finally:
        await world.blocking.close()


def _really(scene: Scene) -> None:
    async def main() -> None:
        await _play(World(SystemClock(), SystemEntropy(), ThreadBlocking()), scene)

    asyncio.run(main())


def _simulated(scene: Scene) -> None:
    loop = VirtualLoop()
    work: Coroutine[Any, Any, None] = _play(
        World(SimClock(loop), SimEntropy(1, "test"), InlineBlocking()), scene
    )
    run(work, loop)


@pytest.fixture(params=[_really, _simulated], ids=["real", "simulated"])
def play(request: pytest.FixtureRequest) -> Play:
    chosen: Play = request.param
    return chosen


# --- Clock ----------------------------------------------------------------------------------


def test_both_clocks_advance_by_what_is_slept(play: Play) -> None:
    async def scene(world: World) -> None:
        monotonic_s, unix_s = world.clock.monotonic_s(), world.clock.unix_s()
        await asyncio.sleep(0.02)
        assert world.clock.monotonic_s() - monotonic_s >= 0.019
        assert world.clock.unix_s() > unix_s

    play(scene)


def test_a_watch_is_a_duty_that_is_silent_while_nothing_jumps(play: Play) -> None:
    async def scene(world: World) -> None:
        jumps: list[Jump] = []
        ended: list[str] = []
        duties = Supervisor(on_failure=lambda name, error: ended.append(name))
        world.clock.watch(jumps.append, duties)
        await asyncio.sleep(0.05)
        await duties.close()
        assert jumps == []
        assert ended == []

    play(scene)


def test_the_wall_clock_shows_a_time_of_this_century(play: Play) -> None:
    async def scene(world: World) -> None:
        assert 1_700_000_000 < world.clock.unix_s() < 4_000_000_000

    play(scene)


# --- Entropy --------------------------------------------------------------------------------


def test_random_bytes_have_their_length_and_do_not_repeat(play: Play) -> None:
    async def scene(world: World) -> None:
        drawn = [world.entropy.random_bytes(16) for _ in range(100)]
        assert {len(each) for each in drawn} == {16}
        assert len(set(drawn)) == 100
        assert world.entropy.random_bytes(0) == b""

    play(scene)


def test_the_generator_keeps_its_state(play: Play) -> None:
    """Each access must not start the same sequence anew."""

    async def scene(world: World) -> None:
        assert len({world.entropy.rng.random() for _ in range(100)}) == 100
        assert world.entropy.rng is world.entropy.rng

    play(scene)


# --- Blocking -------------------------------------------------------------------------------


def test_blocking_returns_what_the_function_returns(play: Play) -> None:
    async def scene(world: World) -> None:
        assert await world.blocking.run(divmod, 7, 2) == (3, 1)

    play(scene)


def test_blocking_raises_what_the_function_raises(play: Play) -> None:
    async def scene(world: World) -> None:
        with pytest.raises(ZeroDivisionError):
            await world.blocking.run(divmod, 7, 0)
        assert await world.blocking.run(divmod, 7, 7) == (1, 0), "it goes on after an error"

    play(scene)


def test_a_cancelled_caller_leaves_nothing_running_behind_it(play: Play) -> None:
    """What it cleans up next, a batch or a descriptor, must not be in use any more."""

    async def scene(world: World) -> None:
        begun, finish, running = threading.Event(), threading.Event(), [0]

        def work() -> None:
            running[0] += 1
            begun.set()
            finish.wait(10)
            running[0] -= 1

        async def use() -> None:
            finish.clear() if isinstance(world.blocking, ThreadBlocking) else finish.set()
            await world.blocking.run(work)

        task = asyncio.create_task(use())
        await asyncio.sleep(0)
        if isinstance(world.blocking, ThreadBlocking):
            await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
        task.cancel()
        asyncio.get_running_loop().call_later(0.01, finish.set)
        await asyncio.gather(task, return_exceptions=True)
        assert begun.is_set()
        assert running == [0]

    play(scene)


def test_many_at_once_all_come_back(play: Play) -> None:
    async def scene(world: World) -> None:
        work = [world.blocking.run(pow, number, 2) for number in range(200)]
        assert await asyncio.gather(*work) == [number**2 for number in range(200)]

    play(scene)
