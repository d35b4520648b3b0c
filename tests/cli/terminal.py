"""The real command line in processes of its own, on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhtstore import sync
from dhtstore.sync import SyncClient

COMMAND = (sys.executable, "-m", "dhtstore")
COMMAND_TIMEOUT_S = 60.0
NETWORK = "tests"
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith("DHTSTORE_") and key not in ("COLUMNS", "LINES")  # a terminal has its own
}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def last_line(self) -> str:
        return self.text.splitlines()[-1]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def run(
    *arguments: str | Path,
    stdin: bytes | int = b"",
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Ran:
    """``dhtstore ARGUMENTS``, to its end.  ``stdin`` is what it reads, or a descriptor."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=stdin if isinstance(stdin, int) else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**ENVIRONMENT, **(environment or {})},
        preexec_fn=before,
    )
    data = None if isinstance(stdin, int) else stdin
    try:
        out, err = process.communicate(data, timeout=COMMAND_TIMEOUT_S)
    finally:
        process.kill()
    return Ran(process.returncode, out, err.decode())


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """A command that goes on while the test does; all three streams are pipes."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> Ran:
    """Wait for it, closing its standard input."""
    out, err = process.communicate(timeout=COMMAND_TIMEOUT_S)
    return Ran(process.returncode, out, err.decode())


def machine_at(home: Path, seeds: str = "") -> AbstractContextManager[SyncClient]:
    """A client that lives there, in this process."""
    through = [seeds] if seeds else []
    return sync.open(home, seeds=through, network=NETWORK, listen="127.0.0.1:0", capacity=0)


class Daemon:
    """``dhtstore join`` on a home of its own."""

    def __init__(self, home: Path, *arguments: str, network: str = NETWORK) -> None:
        self.home = home
        options = ("--home", home, "--listen", "127.0.0.1:0", "--network", network)
        self.process = start("join", *options, *arguments)
        self.ticket = self._first_line()

    def _first_line(self) -> str:
        late = threading.Timer(COMMAND_TIMEOUT_S, self.process.kill)
        late.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().strip()
        late.cancel()
        if not line:
            raise AssertionError(f"join did not serve: {end(self.process).err}")
        return line

    @property
    def node(self) -> str:
        return str(self.run("id", "--json").json["node"])

    @property
    def address(self) -> str:
        return str(self.run("id", "--json").json["addresses"][0])

    def run(self, *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> Ran:
        """A command about this node."""
        return run(arguments[0], "--home", self.home, *arguments[1:], stdin=stdin, cwd=cwd)

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        return start(arguments[0], "--home", self.home, *arguments[1:])

    def put(self, data: bytes, *arguments: str) -> str:
        """The CID of ``data``, put from here."""
        ran = self.run("put", "-", *arguments, stdin=data)
        assert ran.code == 0, ran.err
        return ran.text.strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> Ran:
        """SIGTERM; what it said."""
        if self.process.poll() is None:
            self.process.terminate()
        return end(self.process)


class Daemons:
    """Starts daemons and ends those that a test leaves."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[Daemon] = []

    def __call__(self, name: str, *arguments: str, network: str = NETWORK) -> Daemon:
        daemon = Daemon(self._directory / name, *arguments, network=network)
        self._running.append(daemon)
        return daemon

    def end(self) -> str:
        """Stop those that still run; what they had to say."""
        said = [daemon.stop().err for daemon in self._running if daemon.process.poll() is None]
        for daemon in self._running:
            for stream in (daemon.process.stdin, daemon.process.stdout, daemon.process.stderr):
                if stream is not None:
                    stream.close()
        return "".join(said)
