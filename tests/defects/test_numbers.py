"""Every defect has its tests, for ours and for the stock library, on both endpoints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.defects.conftest import ENDPOINTS
from tests.defects.numbers import DEFECTS

STOCK_BESIDE = [26]  # shown by sockets of their own, not by a server in a world
NAMED = re.compile(r"test_(\d+)_(stock_)?")


def _tests() -> Iterator[tuple[int, str]]:
    """(number, the fixture that plays it) of each test; "" for one that plays none."""
    for path in Path(__file__).parent.glob("test_*.py"):
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            named = isinstance(function, ast.FunctionDef) and NAMED.match(function.name)
            if named and isinstance(function, ast.FunctionDef):
                taken = {argument.arg for argument in function.args.args}
                fixture = "stock" if named[2] else "ours"
                yield int(named[1]), fixture if fixture in taken else ""


def test_there_are_26() -> None:
    assert [*DEFECTS] == list(range(1, 27))


def test_each_is_played_by_ours_and_by_stock_on_both_endpoints() -> None:
    assert set(ENDPOINTS) == {"udp", "simulated"}
    played = set(_tests())
    missing = {
        fixture: sorted(DEFECTS.keys() - {number for number, one in played if one == fixture})
        for fixture in ("ours", "stock")
    }
    assert missing == {"ours": [], "stock": STOCK_BESIDE}


def test_no_test_is_of_another_number() -> None:
    assert {number for number, _ in _tests()} <= DEFECTS.keys()
