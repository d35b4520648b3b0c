"""Policies that were found over by this node's clock, and when: their claims stand meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dhtstore.errors import IntegrityFailure
from dhtstore.model.policy import Policy
from dhtstore.store.ledger.contract import KeyValue, scan_all
from dhtstore.store.ledger.entries import decode, encode, part

_PREFIX: Final = b"over/"


class OverRow(NamedTuple):
    """The policy of ``owner`` for ``root`` that ``expires`` then was first found over when this
    node had been running for ``found_s``.  ``asked`` is whether others were asked since for a newer
    one."""

    owner: bytes
    root: bytes
    expires: int
    found_s: float
    asked: bool = False


class OverNotes:
    """A row for each (owner, root): no more than there are policies."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def found(self, policy: Policy, running_s: float) -> OverRow | None:
        """When it was found; None if it was not, or at a time of running that is still to come: the
        count of that was lost."""
        row = self._row(policy)
        return None if row is None or row.found_s > running_s else row

    def _row(self, policy: Policy) -> OverRow | None:
        """None, too, where that expired at another time."""
        raw = self._table.get(_key(policy.owner, policy.root))
        row = None if raw is None else _decoded(raw)
        return None if row is None or row.expires != policy.expires else row

    def note(self, policy: Policy, running_s: float) -> None:
        """It is found now.  Raises NoRoom, HomeUnusable."""
        self._write(OverRow(policy.owner, policy.root, policy.expires, running_s))

    def waits(self, policy: Policy) -> bool:
        """Whether it was found, and nobody asked yet for a newer one."""
        row = self._row(policy)
        return row is not None and not row.asked

    def asked(self, policy: Policy) -> None:
        """Nobody who answered knows a newer one.  Raises NoRoom, HomeUnusable."""
        row = self._row(policy)
        if row is not None:
            self._write(row._replace(asked=True))

    def _write(self, row: OverRow) -> None:
        self._table.write([(_key(row.owner, row.root), encode(row))])

    def rows(self) -> Iterator[tuple[bytes, OverRow | None]]:
        """Each by its key; None for a damaged one."""
        return ((key, _decoded(raw)) for key, raw in scan_all(self._table, _PREFIX))

    def drop(self, keys: Sequence[bytes]) -> None:
        """Raises NoRoom, HomeUnusable."""
        if keys:
            self._table.write([], keys)


def _key(owner: bytes, root: bytes) -> bytes:
    return _PREFIX + part(owner) + root


def _decoded(raw: bytes) -> OverRow | None:
    try:
        return decode(OverRow, raw)
    except IntegrityFailure:
        return None  # as if it had not been found: that only takes longer
