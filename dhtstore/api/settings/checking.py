"""Whether this machine can do what a setting says: asked before it is written, and by a start."""

from __future__ import annotations

from pathlib import Path

from dhtstore.config import Settings, format_size
from dhtstore.errors import InvalidSetting
from dhtstore.model.contact import split_host_port
from dhtstore.params import (
    DISK_RESERVE_DIVISOR,
    DISK_RESERVE_MAX_BYTES,
    PUBLIC_KEY_BYTES,
)
from dhtstore.store.home.home import Home


def check_setting(key: str, home: Home, settings: Settings, source: str) -> None:
    """Raises InvalidSetting where the next start would refuse it."""
    if key == "capacity":
        check_capacity(home, settings, source)
    elif key == "accept":
        owners_in(settings.owners_file, source)
    elif key == "listen":
        _check_listen(settings.listen, source)


def check_capacity(home: Home, settings: Settings, source: str) -> None:
    """Raises InvalidSetting where the disk is smaller than what is to be given of it."""
    from dhtstore.store.home.places import disk_of  # not with each command

    gives_bytes, disk = settings.capacity_bytes or 0, disk_of(home)
    if gives_bytes > disk.total_bytes:
        there = f"{format_size(disk.total_bytes)}, of which {format_size(disk.free_bytes)} are free"
        raise InvalidSetting(
            f"{source}: capacity: {format_size(gives_bytes)} is more than there is: the disk of"
            f" {home.blocks} has {there}"
        )


def default_capacity(home: Home) -> int:
    """What is given where nobody said how much: half of what is free or holds blocks already, and
    was not promised by another node."""
    from dhtstore.store.home.places import disk_of  # not with each command
    from dhtstore.store.home.promised import promised_beside, size_bytes

    there_bytes = disk_of(home).free_bytes + size_bytes(home.blocks)
    return max(0, there_bytes - promised_beside(home)) // 2


def no_default(home: Home) -> str:
    """Why ``default_capacity`` is none."""
    from dhtstore.store.home.places import disk_of  # not with each command
    from dhtstore.store.home.promised import promised_beside

    free = format_size(disk_of(home).free_bytes)
    if beside_bytes := promised_beside(home):
        told = format_size(beside_bytes)
        return f"other nodes here have promised {told} of the disk, of which {free} are free"
    return f"{free} of the disk are free"


def disk_reserve(home: Home, settings: Settings) -> int:
    """How much of the disk under the blocks is to be left free."""
    from dhtstore.store.home.places import disk_of  # not with each command

    if settings.disk_reserve_bytes is not None:
        return settings.disk_reserve_bytes
    return min(disk_of(home).total_bytes // DISK_RESERVE_DIVISOR, DISK_RESERVE_MAX_BYTES)


def owners_in(file: str, source: str = "") -> frozenset[bytes]:
    """Public keys in hex, one a line; # starts a comment.  Raises InvalidSetting."""
    if not file:
        return frozenset()
    where = f"{source}: accept" if source else "accept"
    try:
        path = Path(file).expanduser()
        if not path.is_absolute():  # else where a node is started decides whose data it takes
            raise ValueError("name it by its whole path")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidSetting(f"{where}: cannot read owners from {file}: {why}").hinted(
            "'owners FILE' names, by its whole path, a file of public keys in hex, one a line"
        ) from error
    words = [line.partition("#")[0].strip() for line in lines]
    numbered = [(number, word) for number, word in enumerate(words, start=1) if word]
    return frozenset(_owner(word, f"{where}: {file}, line {number}") for number, word in numbered)


def _owner(word: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(word)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        what = f"{word[:80]!r} is no public key: 64 hex digits, as `dhtstore id` prints"
        raise InvalidSetting(f"{where}: {what}")
    return key


def _check_listen(place: str, source: str) -> None:
    """Only that the address is one of this machine: its port may be that of a node that runs."""
    from dhtstore.net.addresses import is_elsewhere  # not with each command

    host = split_host_port(place)[0]
    if is_elsewhere(host):
        raise InvalidSetting(f"{source}: listen: {host} is not an address of this machine").hinted(
            "0.0.0.0:PORT takes what comes to any of its addresses"
        )
