"""A duty that the disk or the network can interrupt, and not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from dhtstore.net.ports import Clock
from dhtstore.node.warnings import Warnings
from dhtstore.params import DUTY_RETRY_FIRST_S, DUTY_RETRY_MAX_S


async def lasting(
    what: str, work: Callable[[], Coroutine[Any, Any, object]], warnings: Warnings, clock: Clock
) -> None:
    """Begin ``work`` again whenever something around this node ended it, less and less often; a
    defect is raised.  Returns if it does."""
    pause_s = DUTY_RETRY_FIRST_S
    while True:
        began_s = clock.monotonic_s()
        with warnings.tolerated(what, f"{what} is interrupted"):
            await work()
            return
        if clock.monotonic_s() - began_s > DUTY_RETRY_MAX_S:
            pause_s = DUTY_RETRY_FIRST_S
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, DUTY_RETRY_MAX_S)
        warnings.over(what)  # until it is interrupted again
