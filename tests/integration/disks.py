"""Real disks that take no more bytes: a small tmpfs that is filled, or mounted read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """A tmpfs of 4 MiB in ``directory``; mounting needs root."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "small"
        self.path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(self.path)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a tmpfs")

    def fill(self) -> None:
        """Take every byte that is left."""
        ballast = os.open(self.path / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size_bytes in (65_536, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(ballast, bytes(size_bytes))
        os.close(ballast)

    def free(self) -> None:
        """Give back what ``fill`` took."""
        (self.path / "ballast").unlink()

    def remount(self, how: str) -> None:
        """``how`` is "ro" or "rw"; raises CalledProcessError while files are open to be written."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)
