"""The virtual-time loop alone, beside a bare heap of callbacks: messages that do nothing."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable

from simulations.world.loop.virtual_loop import VirtualLoop

MESSAGES = 500_000
IN_FLIGHT = 1000
DELAY_S = 0.05


def virtual_loop_per_s() -> float:
    """Messages a CPU second: each, on arrival, sends the next."""
    loop = VirtualLoop()
    left = MESSAGES

    def arrive(number: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            loop.stop()
        else:
            loop.post(DELAY_S + number * 1e-6, arrive, number)

    for number in range(IN_FLIGHT):
        loop.post(number * 1e-6, arrive, number)
    return _rate(loop.run_forever)


def bare_heap_per_s() -> float:
    """The same with nothing but a heap."""
    timers = [(number * 1e-6, number, number) for number in range(IN_FLIGHT)]
    heapq.heapify(timers)

    def run() -> None:
        sequence = IN_FLIGHT
        for _ in range(MESSAGES):
            now_s, _, number = heapq.heappop(timers)
            sequence += 1
            heapq.heappush(timers, (now_s + DELAY_S + number * 1e-6, sequence, number))

    return _rate(run)


def _rate(run: Callable[[], None]) -> float:
    before_s = time.process_time()
    run()
    return MESSAGES / (time.process_time() - before_s)
