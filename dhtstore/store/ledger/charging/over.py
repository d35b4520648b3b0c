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
    node had been running for ``found_s``."""

    owner: bytes
    root: bytes
    expires: int
    found_s: float


class OverNotes:
    """A row for each (owner, root): no more than there are policies."""

    def __init__(self, table: KeyValue) -> None:
        self._table = table

    def found_s(self, policy: Policy, running_s: float) -> float | None:
        """When it was found; None if it was not, or while it expired at another time, or at a
        time of running that is still to come: the count of that was lost."""
        raw = self._table.get(_key(policy.owner, policy.root))
        row = None if raw is None else _decoded(raw)
        if row is None or row.expires != policy.expires or row.found_s > running_s:
            return None
        return row.found_s

    def note(self, policy: Policy, running_s: float) -> None:
        """It is found now.  Raises NoRoom, HomeUnusable."""
        row = OverRow(policy.owner, policy.root, policy.expires, running_s)
        self._table.write([(_key(policy.owner, policy.root), encode(row))])

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
