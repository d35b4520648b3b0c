"""The addresses of a simulated machine."""

from __future__ import annotations

import asyncio


class SimInterfaces:
    """``net.ports.Interfaces``; ``become`` is a cable that is plugged, or a new lease."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts
        self._news = asyncio.Event()

    def hosts(self) -> tuple[str, ...]:
        return self._hosts

    async def changed(self) -> None:
        await self._news.wait()
        self._news.clear()

    def become(self, *hosts: str) -> None:
        """The machine has these addresses from now on."""
        if hosts != self._hosts:
            self._hosts = hosts
            self._news.set()
