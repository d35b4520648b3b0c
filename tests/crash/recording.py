"""Runs a program under the recorder, and reads what it wrote down."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from simulations.world.files.changes import ChangeKind, FileChange

SOURCE: Final = Path(__file__).parent / "recorder.c"
COMPILER: Final = shutil.which("cc")
MEMORY: Final = Path("/dev/shm")  # a disk whose fsync costs nothing, where there is one
_ENTRY: Final = struct.Struct("<IIQqQ")  # as in recorder.c


def work_directory() -> Path | None:
    """Where images are quickly made; None for the usual place."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


def build_recorder(directory: Path) -> Path:
    """The library to load first; takes a C compiler."""
    library = directory / "recorder.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True, capture_output=True)
    return library


def record(
    library: Path, root: Path, log: Path, command: Sequence[str], swallow: str = ""
) -> list[FileChange]:
    """All that a Python program did below ``root``; ``swallow`` names the syncs that are left out
    (recorder.c)."""
    added = {"LD_PRELOAD": str(library), "CRASH_ROOT": str(root), "CRASH_LOG": str(log)}
    if swallow:
        added["CRASH_SWALLOW"] = swallow
    subprocess.run([sys.executable, *command], env={**os.environ, **added}, check=True, timeout=300)
    entries = list(read_log(log, root))
    log.unlink()
    return entries


def read_log(log: Path, root: Path) -> Iterator[FileChange]:
    raw, at = log.read_bytes(), 0
    while at < len(raw):
        kind, text_length, inode, where, size = _ENTRY.unpack_from(raw, at)
        at += _ENTRY.size
        text = raw[at : at + text_length].decode()
        at += text_length
        length = size if kind == ChangeKind.WRITTEN else 0
        below = "" if text == str(root) else text.replace(f"{root}/", "")
        yield FileChange(ChangeKind(kind), inode, where, below, raw[at : at + length])
        at += length
