"""Nodes as real processes on loopback, each in a data directory of its own, which goes with it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

_END_WITHIN_S = 30.0


@dataclass(slots=True)
class Running:
    """A node that runs."""

    home: Path
    process: Process
    ticket: str

    async def kill(self) -> None:
        """SIGKILL; its disk stays."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def wipe(self) -> None:
        """SIGKILL, and its disk is gone."""
        await self.kill()
        await asyncio.to_thread(shutil.rmtree, self.home)

    async def ended(self) -> int:
        """Its exit code, once it ends by itself."""
        async with asyncio.timeout(_END_WITHIN_S):
            return await self.process.wait()


@dataclass(slots=True)
class Nodes:
    """Starts them; ``running`` are all that were, in order."""

    folder: Path
    running: list[Running] = field(default_factory=list)

    @property
    def ticket(self) -> str:
        """Of the first."""
        return self.running[0].ticket

    async def start(self, *options: str, name: str = "") -> Running:
        """One more, in the network of the first; of the same ``name`` the same data directory."""
        home = self.folder / (name or f"node {len(self.running)}")
        seeds = [self.ticket] if self.running else []
        listen = ["--home", str(home), "--listen", "127.0.0.1:0"]
        command = [sys.executable, "-m", "dhtstore", "join", *seeds, *listen, *options]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode().split()
        if not line:
            raise RuntimeError(f"{' '.join(command)} did not serve: {await process.wait()}")
        self.running.append(Running(home, process, line[-1]))
        return self.running[-1]


@asynccontextmanager
async def nodes(directory: str | None = None) -> AsyncIterator[Nodes]:
    """Whatever was started ends with the block, and nothing stays on the disk."""
    folder = await asyncio.to_thread(tempfile.mkdtemp, dir=directory)
    made = Nodes(Path(folder))
    try:
        yield made
    finally:
        for each in made.running:
            await each.kill()
        await asyncio.to_thread(shutil.rmtree, folder)
