"""The data directory: who may use it, the keys, the settings and the seeds in it.

config.toml   settings                  node.key, owner.key   mode 0600
lock          held while a node runs    seeds                 keys of seeds given as HOST:PORT
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dhtstore.errors import HomeInUse, HomeUnusable, UsageError

KeyName = Literal["node.key", "owner.key"]
SEED_BYTES: Final = 32  # an Ed25519 private key (RFC 8032)
_CHECK_BYTES: Final = 4
_TEXT_MAX_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Home:
    """One data directory."""

    path: Path

    def prepare(self) -> None:
        """Create it (mode 0700) if need be; raises HomeUnusable if we can't write there."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeUnusable(f"cannot create {self.path}: {error.strerror}") from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise HomeUnusable(f"cannot write into {self.path}: Permission denied")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one node; raises HomeInUse naming the process that has it.

        The kernel drops the lock when the process dies, however it dies.
        """
        descriptor = self._open("lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise HomeInUse(f"process {holder} already runs a node on {self.path}") from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def key(self, name: KeyName, fresh: bytes) -> bytes:
        """The private key of this name; ``fresh`` becomes it if there is none yet."""
        if not (self.path / name).exists():
            self.write(name, export_key(fresh))
        try:
            return import_key(self.read(name))
        except UsageError as error:
            raise HomeUnusable(f"{self.path / name} is damaged: {error}") from error

    def read(self, name: str) -> str:
        """The text of a file here, "" if there is none; raises HomeUnusable."""
        try:
            descriptor = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return ""
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            return file.read(_TEXT_MAX_BYTES)

    def write(self, name: str, text: str) -> None:
        """Replace a file here at once, mode 0600, durable when it returns."""
        draft = f".{name}.{os.getpid()}"
        try:
            descriptor = self._open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            (self.path / draft).replace(self.path / name)
            self._sync()
        except OSError as error:
            raise HomeUnusable(f"cannot write {self.path / name}: {error.strerror}") from error

    def free_bytes(self) -> int:
        """What the file system under it has left for us."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(self.path / name, flags | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise HomeUnusable(f"cannot open {self.path / name}: {error.strerror}") from error

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A directory for one command; removed with all in it afterwards."""
    with tempfile.TemporaryDirectory(prefix="dhtstore-", ignore_cleanup_errors=True) as path:
        yield Home(Path(path))


def export_key(seed: bytes) -> str:
    """The key as one line of text that notices typing errors."""
    return (seed + hashlib.sha256(seed).digest()[:_CHECK_BYTES]).hex() + "\n"


def import_key(text: str) -> bytes:
    """The key in a line that ``export_key`` wrote; raises UsageError."""
    try:
        data = bytes.fromhex(text.strip())
    except ValueError as error:
        raise UsageError("not an exported key: it has other characters than hex digits") from error
    seed, check = data[:SEED_BYTES], data[SEED_BYTES:]
    if len(seed) != SEED_BYTES or check != hashlib.sha256(seed).digest()[:_CHECK_BYTES]:
        raise UsageError("not an exported key: a digit is wrong or missing")
    return seed
