"""An empty mount point is told from a new home."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from dhtstore.errors import HomeUnusable
from dhtstore.model.cid import Cid
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.home.block_directory import MARK, mark_blocks
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.sqlite import SqliteKeyValue


def use(home: Home) -> None:
    """As a node does that starts and stops."""
    mark_blocks(home)
    DiskBlockStore(home.blocks, None).close()
    SqliteKeyValue(home.ledger).close()


def test_a_new_home_is_marked_and_used_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    use(home)
    assert (home.blocks / MARK).exists()
    use(home)


@pytest.mark.parametrize("mount_point", [True, False])
def test_blocks_that_are_gone_are_not_made_anew(tmp_path: Path, mount_point: bool) -> None:
    home = Home(tmp_path)
    use(home)
    home.blocks.rename(tmp_path / "unmounted")
    if mount_point:
        home.blocks.mkdir()
    with pytest.raises(HomeUnusable, match=r"mount it.*mkdir -p .* && touch .*"):
        mark_blocks(home)
    assert not home.blocks.exists() or list(home.blocks.iterdir()) == []
    shutil.rmtree(home.blocks, ignore_errors=True)
    (tmp_path / "unmounted").rename(home.blocks)
    use(home)


def test_the_loss_can_be_accepted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    use(home)
    shutil.rmtree(home.blocks)
    home.blocks.mkdir()
    (home.blocks / MARK).touch()
    use(home)


def test_the_blocks_of_an_earlier_version_are_marked(tmp_path: Path) -> None:
    home = Home(tmp_path)
    use(home)
    (home.blocks / MARK).unlink()
    use(home)
    assert (home.blocks / MARK).exists()


def test_a_home_whose_first_start_ended_before_it_was_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.blocks.mkdir()
    use(home)


@pytest.mark.parametrize("empty", [True, False])
def test_blocks_without_a_ledger_are_not_those_of_a_new_home(tmp_path: Path, empty: bool) -> None:
    home = Home(tmp_path)
    use(home)
    with closing(DiskBlockStore(home.blocks, None)) as store:
        batch = store.batch()
        batch.put(Cid.of(b"kept"), b"kept")
        batch.commit()
        batch.close()
    kept = home.ledger.read_bytes()
    home.ledger.unlink()
    if empty:
        home.ledger.touch(mode=0o600)
    with pytest.raises(HomeUnusable, match="empty" if empty else "gone") as caught:
        mark_blocks(home)
    assert f"mv {home.blocks} {home.blocks}.lost" in caught.value.hint
    home.ledger.write_bytes(kept)
    use(home)
    home.ledger.unlink()
    home.blocks.rename(tmp_path / "blocks.lost")
    use(home)


def test_a_first_start_that_ended_before_its_ledger_was_made_is_one_still(tmp_path: Path) -> None:
    home = Home(tmp_path)
    mark_blocks(home)
    DiskBlockStore(home.blocks, None).close()
    home.ledger.touch(mode=0o600)
    use(home)
