"""Nodes for the demo: real processes on loopback, ended and removed whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dhtstore.errors import DhtstoreError, TimedOut

START_TIMEOUT_S: Final = 20.0
COMMAND_TIMEOUT_S: Final = 600.0
_STOP_TIMEOUT_S: Final = 5.0
_DHTSTORE: Final = (sys.executable, "-m", "dhtstore")


@dataclass(slots=True)
class DemoNode:
    """One node of the demo; ``ticket`` is known once it serves."""

    name: str
    home: Path
    process: subprocess.Popen[str]
    ticket: str = ""
    node: str = ""

    def wait_until_it_serves(self) -> None:
        """Raises TimedOut, or DhtstoreError with what the node said."""
        late = threading.Timer(START_TIMEOUT_S, self.process.kill)
        late.start()
        assert self.process.stdout is not None
        self.ticket = self.process.stdout.readline().strip()
        late.cancel()
        if not self.ticket:
            said = (self.home.parent / f"{self.name}.log").read_text(
                encoding="utf-8", errors="replace"
            )
            raise DhtstoreError(f"node {self.name} did not start: {said[-2000:].strip()}")
        self.node = self.run("id")["node"]

    def run(self, *arguments: str | Path) -> Any:
        """What a command with --json prints about this node; raises DhtstoreError."""
        words = [str(argument) for argument in arguments]
        command = [*_DHTSTORE, words[0], "--home", str(self.home), "--json", "-q", *words[1:]]
        try:
            finished = subprocess.run(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"{words[0]} on {self.name} took too long") from error
        if finished.returncode:
            raise DhtstoreError(f"{words[0]} on {self.name} failed: {finished.stderr.strip()}")
        return json.loads(finished.stdout)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to say goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()


def environment() -> dict[str, str]:
    """Ours, without the settings of the user's own node."""
    return {key: value for key, value in os.environ.items() if not key.startswith("DHTSTORE_")}


@contextlib.contextmanager
def network(directory: Path, names: Sequence[str], capacity_bytes: int) -> Iterator[list[DemoNode]]:
    """Nodes that all joined through the first one; stopped when the block ends."""
    nodes: list[DemoNode] = []
    try:
        for name in names:
            seeds = [nodes[0].ticket] if nodes else []
            nodes.append(_start(directory, name, seeds, capacity_bytes))
            if len(nodes) == 1:
                nodes[0].wait_until_it_serves()
        for node in nodes[1:]:
            node.wait_until_it_serves()
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def _start(directory: Path, name: str, seeds: Sequence[str], capacity_bytes: int) -> DemoNode:
    home = directory / name
    options = ["--listen", "127.0.0.1:0", "--network", "demo", "--capacity", str(capacity_bytes)]
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*_DHTSTORE, "join", "--home", str(home), *options, *seeds],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(),
            start_new_session=True,  # Ctrl-C reaches the demo, and the demo ends its nodes
        )
    return DemoNode(name, home, process)
