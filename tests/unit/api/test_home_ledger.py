"""The ledger of a data directory as visitors and commands without a node read it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from dhtstore.api.home_ledger import HomeLedger
from dhtstore.store.home.block_directory import mark_blocks
from dhtstore.store.home.home import Home
from dhtstore.store.ledger.puts import Puts
from dhtstore.store.ledger.roots import Roots
from dhtstore.store.ledger.sqlite import SqliteKeyValue
from tests.unit.store.test_upgrade import ROOT, first_ledger


def earlier_home(place: Path) -> Home:
    home = Home(place)
    mark_blocks(home)
    with closing(SqliteKeyValue(home.ledger)) as ledger:
        ledger.write(first_ledger().scan(b""))
    return home


def test_a_visitor_lists_what_an_earlier_version_put(tmp_path: Path) -> None:
    earlier_home(tmp_path)
    with closing(HomeLedger(tmp_path)) as ledger:
        pages = list(Puts(ledger, Roots(ledger)).listed(10))
    assert [put.cid for page in pages for put in page] == [str(ROOT)]


def test_what_another_process_uses_is_read_as_it_is(tmp_path: Path) -> None:
    home = earlier_home(tmp_path)
    with closing(home.lock()), closing(HomeLedger(tmp_path)) as ledger:
        assert ledger.count(b"put/") == 1
