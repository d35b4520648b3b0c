"""One network for most tests: three storage nodes and a client, and a way to start more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.terminal import Daemon, Daemons


@dataclass(frozen=True, slots=True)
class Network:
    """``storage`` nodes give 500 MB each; ``client`` gives none."""

    storage: list[Daemon]
    client: Daemon

    @property
    def ticket(self) -> str:
        return self.storage[0].ticket


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    daemons = Daemons(tmp_path_factory.mktemp("network"))
    try:
        first = daemons("a", "--capacity", "500MB")
        others = [daemons(name, "--capacity", "500MB", first.ticket) for name in "bc"]
        client = daemons("client", "--capacity", "0", first.ticket)
        yield Network([first, *others], client)
    finally:
        said = daemons.end()
    assert "Traceback" not in said, said


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    try:
        yield daemons
    finally:
        said = daemons.end()
    assert "Traceback" not in said, said
