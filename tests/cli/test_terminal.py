"""Progress: on a terminal only, and never on standard output."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests.cli.conftest import Network
from tests.cli.terminal import COMMAND, COMMAND_TIMEOUT_S, ENVIRONMENT


def on_a_terminal(*arguments: str | Path, columns: int = 100) -> tuple[str, str]:
    """Standard output, and what a terminal on stderr saw."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**ENVIRONMENT, "TERM": "xterm"},
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


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_progress_fits_the_terminal(network: Network, tmp_path: Path, columns: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(4 * 1024 * 1024))
    home = network.storage[0].home
    _, seen = on_a_terminal("put", "--home", home, file, "-v", columns=columns)
    assert "copying" in seen
    assert "4.2 MB" in seen
    lines = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", seen)
    shown = [line for line in lines if line.startswith(("reading ", "copying ", "  "))]
    assert shown
    assert max(map(len, shown)) <= columns


def test_plain_progress_is_lines_for_a_log(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(4 * 1024 * 1024))
    ran = network.storage[0].run("put", file, "--progress", "plain")
    lines = ran.err.splitlines()
    shown = [line for line in lines if line.startswith(("reading: ", "copying: "))]
    assert [line.split(" in ")[0] for line in shown if " in " in line] == [
        "reading: 4.2 MB",
        "copying: 8.4 MB",
    ]
    assert "\x1b" not in ran.err
    assert network.storage[0].run("put", file, "--progress", "plain", "-q").err == ""
    wrong = network.storage[0].run("put", file, "--progress", "loud")
    assert wrong.code == 2
