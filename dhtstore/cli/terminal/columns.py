"""Columns of a table, by what a terminal shows: a letter of Chinese or Japanese is two wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_WIDE: Final = frozenset("WF")  # Unicode Standard Annex 11: wide, full width
_ON_ANOTHER: Final = frozenset(("Mn", "Me"))  # marks that stand on the letter before them


def width_of(cells: Sequence[str]) -> int:
    """How wide the widest of them is; nearly always all is ASCII."""
    return max(map(len if _plain(cells) else _shown, cells))


def padded(cells: Sequence[str], width: int) -> Sequence[str]:
    """All of them ``width`` wide; dates and CIDs are as long as each other, nearly always."""
    if _plain(cells):
        if min(map(len, cells)) == width:
            return cells
        return [cell.ljust(width) for cell in cells]
    return [cell + " " * (width - _shown(cell)) for cell in cells]


def _plain(cells: Sequence[str]) -> bool:
    return "".join(cells).isascii()


def _shown(text: str) -> int:
    from unicodedata import category, east_asian_width

    wide = (east_asian_width(letter) in _WIDE for letter in text)
    return sum(wide) + sum(category(letter) not in _ON_ANOTHER for letter in text)
