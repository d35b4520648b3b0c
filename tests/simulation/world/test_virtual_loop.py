"""The virtual loop keeps asyncio's semantics and lets nothing of the real world in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from simulations.errors import Deadlock, EscapedSimulation, Livelock, UnhandledErrors
from simulations.world.loop.virtual_loop import VirtualLoop, run


def test_time_jumps_to_the_next_timer() -> None:
    loop = VirtualLoop()

    async def main() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert run(main(), loop) == 3600


def test_timers_due_together_fire_in_the_order_they_were_set() -> None:
    loop, seen = VirtualLoop(), list[int]()
    for number in range(100):
        loop.call_later(5.0, seen.append, number)
    loop.call_later(1.0, seen.append, -1)
    loop.run_for(10)
    assert seen == [-1, *range(100)]


def test_callbacks_run_before_time_moves() -> None:
    loop, seen = VirtualLoop(), list[str]()
    loop.call_later(0.0, seen.append, "timer")
    loop.call_soon(lambda: loop.call_soon(seen.append, "soon"))
    loop.run_for(1)
    assert seen == ["soon", "timer"]


def test_cancelled_handles_do_not_run_and_do_not_pile_up() -> None:
    loop, seen = VirtualLoop(), list[int]()
    for number in range(10_000):
        loop.call_later(1e6, seen.append, number).cancel()
    assert len(loop._timers) < 1_000
    loop.call_soon(seen.append, 1).cancel()
    loop.run_for(2e6)
    assert seen == []


def test_a_timer_in_the_past_fires_now_and_time_never_goes_back() -> None:
    loop, seen = VirtualLoop(start_s=100.0), list[float]()
    loop.call_at(5.0, lambda: seen.append(loop.time()))
    loop.run_for(1)
    assert seen == [100.0]


def test_timeout_event_queue_and_gather_work() -> None:
    loop = VirtualLoop()

    async def main() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
        event = asyncio.Event()

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
            event.set()

        async def consume() -> list[int]:
            return [await queue.get() for _ in range(3)]

        _, numbers = await asyncio.gather(produce(), consume())
        await event.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(10)
        async with asyncio.timeout(2.5):
            await asyncio.sleep(1)
        return [numbers, loop.time()]

    assert run(main(), loop) == [[0, 1, 2], 3.5]


def test_what_main_raises_comes_out() -> None:
    async def main() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main(), VirtualLoop())


def test_leftover_tasks_are_cancelled_oldest_first() -> None:
    seen: list[str] = []

    async def linger(name: str) -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            seen.append(name)

    async def main() -> None:
        for name in "abc":
            loop.create_task(linger(name))
        await asyncio.sleep(0)

    loop = VirtualLoop()
    run(main(), loop)
    assert seen == ["a", "b", "c"]


def test_a_deadlock_names_the_tasks_and_what_they_wait_for() -> None:
    async def stuck() -> None:
        await asyncio.Queue[int]().get()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(Deadlock) as caught:
        run(main(), VirtualLoop())
    text = str(caught.value)
    assert "2 tasks still wait" in text
    assert "the stuck one" in text
    assert "Queue.get" in text
    assert "waits for the task the stuck one" in text


def test_a_wait_for_a_rounding_error_ends() -> None:
    loop = VirtualLoop(start_s=1e6 + 0.1)
    due_s, seen = loop.time() + 60.3, list[float]()

    def check() -> None:
        left_s = due_s - loop.time()
        if left_s > 0:
            loop.call_later(left_s / 2 if left_s > 1e-11 else left_s, check)
        else:
            seen.append(loop.time())

    loop.call_soon(check)
    loop.run_for(120)
    assert seen == [pytest.approx(due_s)]


@pytest.mark.parametrize("soon", [True, False])
def test_a_livelock_is_reported(soon: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulations.world.loop.virtual_loop._AT_ONE_INSTANT_MAX", 1000)
    loop = VirtualLoop()

    def again() -> None:
        if soon:
            loop.call_soon(again)
        else:
            loop.call_later(0, again)

    again()
    with pytest.raises(Livelock, match=r"stands still at 0\.0 s.*again"):
        loop.run_for(1)


def test_what_is_left_is_cancelled_also_when_main_fails() -> None:
    loop, seen = VirtualLoop(), list[str]()

    async def linger() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            seen.append("closed")

    async def main() -> None:
        loop.create_task(linger())
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main(), loop)
    assert seen == ["closed"]


def test_a_failing_callback_is_never_swallowed() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        loop.call_soon(lambda: 1 / 0)
        loop.post(1.0, int, "x")
        await asyncio.sleep(2)

    with pytest.raises(UnhandledErrors, match="2 unseen failures") as caught:
        run(main(), loop)
    assert [type(cause) for cause in caught.value.causes] == [ZeroDivisionError, ValueError]


def test_an_exception_handler_replaces_the_default() -> None:
    loop, seen = VirtualLoop(), list[str]()
    loop.set_exception_handler(lambda _, context: seen.append(repr(context["exception"])))
    loop.call_soon(lambda: 1 / 0)
    loop.run_for(1)
    assert seen == ["ZeroDivisionError('division by zero')"]
    assert loop.unhandled == []


def test_an_abandoned_async_generator_is_closed() -> None:
    seen: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    async def main() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(1)

    run(main(), VirtualLoop())
    assert seen == ["closed"]


@pytest.mark.parametrize(
    "reach",
    [
        lambda loop: loop.run_in_executor(None, print),
        lambda loop: loop.call_soon_threadsafe(print),
        lambda loop: loop.create_datagram_endpoint(asyncio.DatagramProtocol),
        lambda loop: loop.add_signal_handler(2, print),
        lambda loop: loop.getaddrinfo("localhost", 80),
        lambda loop: loop.set_debug(True),
    ],
)
def test_the_real_world_is_refused(reach: object) -> None:
    assert callable(reach)
    with pytest.raises(EscapedSimulation):
        reach(VirtualLoop())


def test_to_thread_is_refused() -> None:
    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(EscapedSimulation, match="threads"):
        run(main(), VirtualLoop())


def test_every_loop_method_is_implemented_or_refused() -> None:
    abstract = asyncio.AbstractEventLoop
    names = [n for n in vars(abstract) if not n.startswith("_") and callable(getattr(abstract, n))]
    missing = [n for n in names if getattr(VirtualLoop, n) is getattr(abstract, n)]
    assert missing == []


_ORDERED_RUN = """
import asyncio, hashlib
from simulations.world.loop.virtual_loop import VirtualLoop, run
loop, seen = VirtualLoop(), hashlib.sha256()
async def worker(n):
    for step in range(20):
        await asyncio.sleep((n * 7919 + step * 104729) % 13)
        seen.update(f"{loop.time()} {n} {step};".encode())
async def main():
    await asyncio.gather(*(worker(n) for n in range(50)))
run(main(), loop)
print(seen.hexdigest())
"""


def test_the_order_does_not_depend_on_the_hash_seed() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", _ORDERED_RUN],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1] != ""
