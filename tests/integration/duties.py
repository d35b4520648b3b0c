"""Duties whose ends a test waits for."""

from __future__ import annotations

import asyncio

from dhtstore.tasks import Supervisor


class Duties(Supervisor):
    """``ended`` gets the name and the error of each duty that ended by itself."""

    def __init__(self) -> None:
        self.ended: asyncio.Queue[tuple[str, BaseException]] = asyncio.Queue()
        super().__init__(on_failure=lambda name, error: self.ended.put_nowait((name, error)))
