"""The data directory: its lock, keys, pinned seeds, config text and the path of its socket."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dhtstore.errors import HomeUnusable, LocalProtocolError
from dhtstore.model.identity import PublicKey
from dhtstore.params import PUBLIC_KEY_BYTES
from dhtstore.store.disk import close_quietly, sync_directory, write_error, write_fully
from dhtstore.store.home.lock import HomeLock, unusable
from dhtstore.store.ours import check_directory, read_ours

LAYOUT_VERSION: Final = 3
_READ_VERSIONS: Final = ("1", "2", "3")  # the ledger of an earlier one is rewritten when opened
KEY_SEED_BYTES: Final = 32  # an Ed25519 private key, RFC 8032
_KEY_HEADER: Final = "dhtstore ed25519 key, never share or copy this file"
_SOCKET_PATH_MAX_BYTES: Final = 100  # sun_path holds 107
_RUNTIME_MAX_BYTES: Final = _SOCKET_PATH_MAX_BYTES - len("/dhtstore-0123456789abcdef.sock")
# Not $TMPDIR, which may be long itself and differ between the shells of a node and its commands.
SHARED_TEMPORARY: Final = Path("/tmp")  # noqa: S108 - a directory of our own, mode 0700, is in it


class Home:
    """One directory, mode 0700.

    ``blocks`` (directory) and ``ledger`` (file) are where the stores of this room live.
    """

    def __init__(self, path: Path) -> None:
        """Create it where it is missing.  Raises HomeUnusable."""
        self.path = path.absolute()
        self.blocks = self.path / "blocks"
        self.ledger = self.path / "ledger.sqlite"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            readable = os.access(self.path, os.R_OK | os.X_OK)
            writable = os.access(self.path, os.W_OK) or self._reads_only
            check_directory(self.path)
            self._close_to_others()
        except (OSError, ValueError) as error:
            raise unusable(self.path, error) from error
        if not readable:
            raise HomeUnusable(f"cannot read {self.path}")
        if not writable:
            command = f"sudo chown {os.geteuid()} {shlex.quote(str(self.path))}"
            raise HomeUnusable(f"cannot write to {self.path}: if it is to be yours, `{command}`")
        self._check_version()

    def _close_to_others(self) -> None:
        """A directory that somebody made by hand and that holds nothing else yet becomes as one
        that a node makes; one with other things in it stays as open as it is: whoever may look
        into it is its owner's choice, and no file of a node can be read by others.  Raises
        OSError."""
        status = self.path.stat()
        others = status.st_mode & 0o077 and status.st_uid == os.geteuid()
        if others and not self._reads_only and not any(self.path.iterdir()):
            self.path.chmod(0o700)

    @property
    def _reads_only(self) -> bool:
        """Whether the file system takes no writes, as one that is mounted so after an error."""
        return bool(os.statvfs(self.path).f_flag & os.ST_RDONLY)

    def lock(self) -> HomeLock:
        """Make this process the only one that uses the stores here, until the lock is closed.

        Raises HomeInUse, which names the process that holds it; waits a little for those that only
        read.
        """
        return HomeLock(self.path / "lock")

    def lock_to_read(self) -> HomeLock:
        """Keep nodes from starting here until the lock is closed; others may read meanwhile.

        Raises HomeInUse where a node runs.
        """
        return HomeLock(self.path / "lock", shared=True)

    def has_key(self, name: str) -> bool:
        """Whether there is a file of that key with something in it.  Raises HomeUnusable."""
        return _read_text(self.path / f"{name}.key") != ""

    def key_seed(self, name: str, entropy: bytes) -> bytes:
        """The 32 bytes in ``name``.key; made of ``entropy`` where there is no such file.

        Raises HomeUnusable on a file that others may read or that is no key: a key is never
        made again over an existing file.  Raises LocalProtocolError for entropy of another
        length.
        """
        path = self.path / f"{name}.key"
        _drop_temporary(path)
        if _read_text(path) == "":
            if len(entropy) != KEY_SEED_BYTES:
                raise LocalProtocolError(f"a key is made of {KEY_SEED_BYTES} bytes")
            _write_new(path, key_text(entropy))
        return _read_key(path)

    def read_config(self) -> str:
        """The text of config.toml; "" when there is none."""
        return _read_text(self.path / "config.toml")

    def write_config(self, text: str) -> None:
        write_atomically(self.path / "config.toml", text)

    def trusted_seeds(self) -> dict[str, PublicKey]:
        """HOST:PORT -> the key that was seen there first.  Raises HomeUnusable."""
        path = self.path / "seeds"
        seeds = {}
        for line in _read_text(path).splitlines():
            place, _, key = line.partition(" ")
            try:
                seeds[place] = PublicKey(bytes.fromhex(key))
            except ValueError as error:
                raise HomeUnusable(f"{path} holds a line that is no seed: {line[:80]!r}") from error
            if len(seeds[place]) != PUBLIC_KEY_BYTES:
                raise HomeUnusable(f"{path} holds a key of the wrong length for {place[:80]}")
        return seeds

    def save_trusted_seeds(self, seeds: dict[str, PublicKey]) -> None:
        text = "".join(f"{place} {key.hex()}\n" for place, key in sorted(seeds.items()))
        write_atomically(self.path / "seeds", text)

    @property
    def socket_path(self) -> Path:
        """Where a node of this home is to listen for commands.  Raises HomeUnusable."""
        inside = self._socket_inside
        return inside if inside is not None and not self._reads_only else self._socket_outside()

    @property
    def socket_to_ask(self) -> Path:
        """Where the node that runs listens: the file system may take writes since it started, or
        none any more.  Raises HomeUnusable."""
        inside = self._socket_inside
        if inside is None:
            return self._socket_outside()
        if not inside.exists() or self._reads_only:
            with contextlib.suppress(HomeUnusable):
                outside = self._socket_outside()
                return outside if outside.exists() else inside
        return inside

    @property
    def _socket_inside(self) -> Path | None:
        """None if the path is too long for a socket."""
        path = self.path / "control.sock"
        return path if len(os.fsencode(path)) <= _SOCKET_PATH_MAX_BYTES else None

    def _socket_outside(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:16]
        return _runtime_directory() / f"dhtstore-{digest}.sock"

    def upgraded(self) -> None:
        """Everything here is of this version's layout: an earlier version must not write to it."""
        path = self.path / "version"
        if _read_text(path).strip() != str(LAYOUT_VERSION):
            write_atomically(path, f"{LAYOUT_VERSION}\n")

    def _check_version(self) -> None:
        path = self.path / "version"
        text = _read_text(path)
        if not text:
            write_atomically(path, f"{LAYOUT_VERSION}\n")
        elif text.strip() not in _READ_VERSIONS:
            raise HomeUnusable(
                f"{self.path} has layout {text.strip()[:20]!r}; this version reads up to"
                f" {LAYOUT_VERSION}: use the version that wrote it, or a newer one"
            )


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path``: after a crash it holds the old text or the new.  Raises HomeUnusable,
    NoRoom."""
    try:
        with temporary_text(path, text) as temporary:
            os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        raise write_error(error, str(path)) from error


def _write_new(path: Path, text: str) -> None:
    """Like write_atomically, but a file that came to be meanwhile stays as it is."""
    try:
        with temporary_text(path, text) as temporary, contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # unless another process made its key first
        sync_directory(path.parent)
    except OSError as error:
        raise write_error(error, str(path)) from error


@contextlib.contextmanager
def temporary_text(path: Path, text: str) -> Iterator[Path]:
    """The text in a file of another name, which is gone at the end; it may hold a secret."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600, new
    temporary = Path(name)
    try:
        try:
            write_fully(fd, 0, text.encode())
            os.fsync(fd)
        finally:
            close_quietly(fd)
        yield temporary
    finally:
        _unlink_surely(temporary)


def _drop_temporary(path: Path) -> None:
    """Take away the first name of a key that was made when its process died.  Raises
    HomeUnusable."""
    try:
        if path.exists() and path.lstat().st_nlink > 1:
            for each in path.parent.glob(f".{path.name}.*"):
                if each.samefile(path):
                    each.unlink()
    except OSError as error:
        raise unusable(path, error) from error


def _unlink_surely(path: Path) -> None:
    """Once more if it fails; what stays then is removed by nobody."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _read_text(path: Path) -> str:
    """Raises HomeUnusable, also for a file that others may have made or changed."""
    try:
        return (read_ours(path) or b"").decode()
    except (OSError, UnicodeDecodeError) as error:
        raise unusable(path, error) from error


def key_text(seed: bytes) -> str:
    """What a key file holds."""
    return f"{_KEY_HEADER}\n{seed.hex()}\n"


def _read_key(path: Path) -> bytes:
    try:
        status = path.lstat()
    except OSError as error:
        raise unusable(path, error) from error
    if status.st_mode & 0o077:
        command = f"chmod 600 {shlex.quote(str(path))}"
        raise HomeUnusable(f"{path} can be read by others: if it is still secret, `{command}`")
    header, _, body = _read_text(path).partition("\n")
    try:
        seed = bytes.fromhex(body.strip())
    except ValueError:
        seed = b""
    if header != _KEY_HEADER or len(seed) != KEY_SEED_BYTES:
        raise HomeUnusable(f"{path} is not a key file; move it away or restore it from a backup")
    return seed


def _runtime_directory() -> Path:
    """A short directory that is this user's alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(os.fsencode(runtime)) <= _RUNTIME_MAX_BYTES and _is_private(Path(runtime)):
        return Path(runtime)
    path = SHARED_TEMPORARY / f"dhtstore-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise unusable(path, error) from error
    if not _is_private(path):
        raise HomeUnusable(f"{path} belongs to someone else: set XDG_RUNTIME_DIR")
    return path


def _is_private(path: Path) -> bool:
    """Whether it is a directory of ours that nobody else may enter; a link is none."""
    try:
        status = path.lstat()
    except OSError:
        return False
    mine = status.st_uid == os.getuid() and not status.st_mode & 0o077
    return mine and stat.S_ISDIR(status.st_mode)
