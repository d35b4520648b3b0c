from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore.errors import UsageError
from dhtstore.store.home.home import Home
from dhtstore.store.home.owner_key import export_key, has_owner_key, import_key, save_owner_key
from dhtstore.store.home.places import disk_of, temporary_home

SEED = bytes(range(32))


def test_keys_as_text_notice_every_wrong_digit() -> None:
    text = export_key(SEED)
    assert import_key(f" {text}\n") == SEED
    for at in range(len(text)):
        wrong = "0" if text[at] != "0" else "1"
        with pytest.raises(UsageError):
            import_key(text[:at] + wrong + text[at + 1 :])
    for junk in ("", "words", text + "00"):
        with pytest.raises(UsageError):
            import_key(junk)


def test_a_saved_key_replaces_the_one_before(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not has_owner_key(home)
    for seed in (SEED, bytes(32)):
        save_owner_key(home, seed)
        assert has_owner_key(home)
        assert home.key_seed("owner", b"\xff" * 32) == seed


def test_a_temporary_home_is_removed() -> None:
    with temporary_home() as home:
        home.key_seed("node", SEED)
        assert 0 < disk_of(home).free_bytes <= disk_of(home).total_bytes
    assert not home.path.exists()
