"""Progress: on a terminal only, and never on standard output."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND, COMMAND_TIMEOUT_S, ENVIRONMENT


def on_a_terminal(*arguments: str | Path) -> tuple[str, str]:
    """Standard output, and what a terminal on stderr saw."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    seen = bytearray()
    try:
        while piece := os.read(screen, 65536):
            seen += piece
    except OSError:  # Linux says EIO where the other end is closed
        pass
    out, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
    os.close(screen)
    assert process.returncode == 0
    return out.decode(), seen.decode(errors="replace")


def test_a_terminal_sees_progress_and_a_pipe_does_not(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(8 * 1024 * 1024))
    home = network.storage[0].home
    out, seen = on_a_terminal("put", "--home", home, file)
    assert out == out.strip() + "\n"
    assert "reading" in seen
    assert "copying" in seen
    quiet_out, quiet_seen = on_a_terminal("put", "--home", home, file, "-q")
    assert quiet_out == out
    assert quiet_seen == ""
    piped = network.storage[0].run("put", file)
    assert piped.text == out
    assert "\x1b" not in piped.err
    assert "reading" not in piped.err


def test_no_color(network: Network, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1024 * 1024))
    ENVIRONMENT["NO_COLOR"] = "1"
    try:
        _, seen = on_a_terminal("put", "--home", network.storage[0].home, tmp_path / "file")
    finally:
        del ENVIRONMENT["NO_COLOR"]
    assert "\x1b[3" not in seen  # no foreground colour
