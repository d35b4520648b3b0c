"""The owner's key as text, to carry it to another machine."""

from __future__ import annotations

import hashlib
from typing import Final

from dhtstore.errors import UsageError
from dhtstore.store.disk import sync_directory, write_error
from dhtstore.store.home.home import KEY_SEED_BYTES, Home, key_text, temporary_text

_CHECK_BYTES: Final = 4


def has_owner_key(home: Home) -> bool:
    return (home.path / "owner.key").exists()


def save_owner_key(home: Home, seed: bytes) -> None:
    """Make it the owner's key of this home, in place of another; all or nothing.

    Raises NoRoom, HomeUnusable."""
    path = home.path / "owner.key"
    try:
        with temporary_text(path, key_text(seed)) as incoming:
            incoming.replace(path)
        sync_directory(home.path)
    except OSError as error:
        raise write_error(error, str(path)) from error


def export_key(seed: bytes) -> str:
    """The key as one word that notices typing errors."""
    return (seed + hashlib.sha256(seed).digest()[:_CHECK_BYTES]).hex()


def import_key(text: str) -> bytes:
    """The key in what ``export_key`` returned; raises UsageError."""
    try:
        data = bytes.fromhex(text.strip())
    except ValueError as error:
        raise _not_a_key("it has other characters than hex digits") from error
    seed, check = data[:KEY_SEED_BYTES], data[KEY_SEED_BYTES:]
    if len(seed) != KEY_SEED_BYTES or check != hashlib.sha256(seed).digest()[:_CHECK_BYTES]:
        raise _not_a_key("a digit is wrong or missing")
    return seed


def _not_a_key(why: str) -> UsageError:
    error = UsageError(f"not an exported key: {why}")
    return error.hinted("give the whole line that `dhtstore owner export` printed")
