"""What claims are charged with, written beside them: a row for each owner and unit, and
one for each owner that was once a newcomer here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from dhtstore.model.identity import DhtKey, dht_key
from dhtstore.model.policy import Claim, Holdings, Usage
from dhtstore.params import NODE_ID_BYTES
from dhtstore.store.ledger.charging.accounts import (
    Accounts,
    claims_in,
    with_claim,
    without_claim,
)
from dhtstore.store.ledger.charging.owed import Owed, Pair
from dhtstore.store.ledger.charging.turns import ChargeRow
from dhtstore.store.ledger.contract import SCAN_PAGE_ROWS, scan_all
from dhtstore.store.ledger.entries import (
    Acquaintance,
    Charges,
    decode,
    decode_claim,
    encode,
    group_key,
    part,
    sound,
    take_part,
)
from dhtstore.trace import Tracer

_LAID_OUT: Final = b"charged"  # there once every claim has its share in a row
_CHARGES: Final = b"charge/"
_OWNERS: Final = b"owner/"


class Charged:
    """Not thread-safe.  The accounts are read from the rows once, and kept up from then on."""

    def __init__(self, table: Owed, tracer: Tracer, own: bytes) -> None:
        self._table, self._tracer, self._own = table, tracer, own
        self._counted: Accounts | None = None

    @property
    def ledger_bytes(self) -> int:
        return self._accounts.ledger_bytes

    def holdings(self, now_unix_s: float) -> Holdings:
        """As ``Claims.holdings``."""
        return self._accounts.holdings(now_unix_s)

    def usage(
        self,
        owner: bytes,
        origin: str,
        now_unix_s: float,
        *,
        but: tuple[bytes, bytes] | None,
        key: DhtKey | None,
    ) -> Usage:
        """As ``Claims.usage``."""
        usage = self._accounts.usage(owner, origin, now_unix_s)
        if but is not None:
            group = part(but[0]) + part(owner)
            again = [row for kind in _KINDS if (row := self._row(kind + group + but[1]))]
            return self._without_unit(usage, group, self._charges(group), again, origin)
        if key is not None:
            found = self._table.scan(_CHARGES + key + part(owner), limit=1)
            if found:
                group = _group_of(found[0][0])
                return self._without_unit(usage, group, self._read(group, found[0][1]), (), origin)
        return usage

    def _without_unit(
        self, usage: Usage, group: bytes, charges: Charges, again: Sequence[Claim], origin: str
    ) -> Usage:
        """Without the content of a unit, the unit itself and the claims in ``again`` of it."""
        left = _without_bytes(usage, charges, again, origin)
        if not charges or _owner_of(group) == self._own:
            return left
        return replace(
            left,
            units=left.units - 1,
            origin_units=left.origin_units - any(each.origin == origin for each in charges),
            newcomers_units=left.newcomers_units - (usage.known and usage.new),
        )

    def kept_bytes(self, owner: bytes, key: DhtKey) -> int:
        """As ``Claims.kept_bytes``."""
        found = self._table.scan(_CHARGES + key + part(owner), limit=1)
        charges = self._read(_group_of(found[0][0]), found[0][1]) if found else ()
        return max((each.charged_bytes for each in charges), default=0)

    def claimed_by(self, owner: bytes, unit: bytes) -> bool:
        return self._table.get(_charge_key(part(unit) + part(owner))) is not None

    def rows(self) -> Iterator[ChargeRow]:
        """All, those of one unit together, a page at a time."""
        for key, raw in scan_all(self._table, _CHARGES):
            group = _group_of(key)
            yield ChargeRow(take_part(group)[0], _owner_of(group), self._read(group, raw))

    def replace(
        self, claim: Claim, gone: Sequence[bytes], puts: list[Pair], now_unix_s: float | None
    ) -> None:
        """Write ``puts``, among them the row of ``claim``, which takes the place of the rows
        ``gone``.  From ``now_unix_s`` on its owner is a newcomer, if it has no claim yet."""
        accounts, owner = self._accounts, claim.policy.owner
        group = group_key(claim)
        before = self._charges(group)
        after = with_claim(self._without(group, before, gone), claim)
        met = None
        if now_unix_s is not None and not accounts.knows(owner):
            met = Acquaintance(now_unix_s, claim.origin)
            puts = [*puts, (_OWNERS + owner, encode(met))]
        written = {key for key, _ in puts}
        deletes = [key for key in gone if key not in written]
        self._table.write([*puts, (_charge_key(group), encode(after))], deletes)
        accounts.change(owner, before, after)
        if met is not None:
            accounts.meet(owner, met)

    def remove(self, claim: Claim, key: bytes) -> None:
        """Drop one row of a claim, if it is there; with the next write that works where none
        does now."""
        if self._table.get(key) is not None:
            group = group_key(claim)
            before = self._charges(group)
            after = self._without(group, before, [key])
            change = claim.policy.owner, group, before, after
            self._change([change], [key], self._table.write_or_owe)

    def forget(self, unit: bytes) -> None:
        """Drop all claims on a unit but those that are pending."""
        changes = []
        for key, _ in list(scan_all(self._table, _CHARGES + dht_key(unit))):
            group = _group_of(key)
            owner = _owner_of(group)
            after = _summed(self._rows([b"pending/" + group]))
            changes.append((owner, group, self._charges(group), after))
        deletes = [key for key, _ in scan_all(self._table, b"claim/" + part(unit))]
        self._change(changes, deletes, self._table.write)

    def _change(
        self,
        changes: Sequence[tuple[bytes, bytes, Charges, Charges]],
        deletes: list[bytes],
        write: Callable[[Iterable[Pair], Iterable[bytes]], None],
    ) -> None:
        """(owner, group, charges before, charges after) of each group that gets smaller."""
        accounts = self._accounts
        puts = [(_charge_key(group), encode(after)) for _, group, _, after in changes if after]
        gone = [_charge_key(group) for _, group, _, after in changes if not after]
        for owner, _, before, after in changes:
            if not after and accounts.claims(owner) == claims_in(before):
                gone.append(_OWNERS + owner)
        write(puts, [*deletes, *gone])
        for owner, _, before, after in changes:
            accounts.change(owner, before, after)

    # --- rows -------------------------------------------------------------------------------

    def _without(self, group: bytes, charges: Charges, gone: Sequence[bytes]) -> Charges:
        """Charges once the rows ``gone`` are."""
        rows = [(key, raw) for key in gone if (raw := self._table.get(key)) is not None]
        for key, raw in rows:
            claim = sound(decode_claim, key, raw, self._tracer)
            if claim is None:  # nobody knows what it was charged with
                return _summed(self._rows(_prefixes(group), but=gone))
            charges = without_claim(charges, claim)
        return charges

    def _charges(self, group: bytes) -> Charges:
        raw = self._table.get(_charge_key(group))
        return () if raw is None else self._read(group, raw)

    def _read(self, group: bytes, raw: bytes) -> Charges:
        charges = sound(_decode_charges, _charge_key(group), raw, self._tracer)
        return _summed(self._rows(_prefixes(group))) if charges is None else charges

    def _row(self, key: bytes) -> Claim | None:
        raw = self._table.get(key)
        return None if raw is None else sound(decode_claim, key, raw, self._tracer)

    def _rows(self, prefixes: Iterable[bytes], *, but: Sequence[bytes] = ()) -> Iterator[Claim]:
        for prefix in prefixes:
            for key, value in scan_all(self._table, prefix):
                claim = sound(decode_claim, key, value, self._tracer)
                if claim is not None and key not in but:
                    yield claim

    @property
    def _accounts(self) -> Accounts:
        if self._counted is None:
            self.lay_out()
            self._counted = self._count()
        return self._counted

    def lay_out(self) -> None:
        """Write the charges of what an earlier version claimed, without them."""
        if self._table.get(_LAID_OUT) is not None:
            return
        puts: list[Pair] = []
        for group, claims in groupby(self._rows([b"claim/"]), group_key):
            puts.append((_charge_key(group), encode(_summed(claims))))
            if len(puts) >= SCAN_PAGE_ROWS:
                self._table.write(puts)
                puts.clear()
        self._table.write([*puts, (_LAID_OUT, b"")])

    def _count(self) -> Accounts:
        accounts = Accounts(self._own)
        for row in self.rows():
            accounts.change(row.owner, (), row.charges)
        for owner, met in sorted(self._acquaintances(), key=lambda each: each[1]):
            if accounts.knows(owner):
                accounts.meet(owner, met)
        return accounts

    def _acquaintances(self) -> Iterator[tuple[bytes, Acquaintance]]:
        for key, raw in scan_all(self._table, _OWNERS):
            met = sound(_decode_acquaintance, key, raw, self._tracer)
            if met is not None:
                yield key[len(_OWNERS) :], met


_KINDS: Final = (b"claim/", b"pending/")


def _charge_key(group: bytes) -> bytes:
    """By the unit's DHT key first: an offer knows no more of a unit."""
    unit, rest = take_part(group)
    return _CHARGES + dht_key(unit) + rest + unit


def _group_of(key: bytes) -> bytes:
    """The group whose charges stand under ``key``."""
    owner, unit = take_part(key[len(_CHARGES) + NODE_ID_BYTES :])
    return part(unit) + part(owner)


def _owner_of(group: bytes) -> bytes:
    return take_part(take_part(group)[1])[0]


def _without_bytes(usage: Usage, charges: Charges, again: Sequence[Claim], origin: str) -> Usage:
    rows_bytes = sum(row.ledger_bytes for row in again)
    of_owner = max((each.charged_bytes for each in charges), default=0) + rows_bytes
    of_origin = sum(each.charged_bytes for each in charges if each.origin == origin)
    of_origin += sum(row.ledger_bytes for row in again if row.origin == origin)
    return replace(
        usage,
        owner_bytes=usage.owner_bytes - of_owner,
        origin_bytes=usage.origin_bytes - of_origin,
        newcomers_bytes=usage.newcomers_bytes - (of_owner if usage.known and usage.new else 0),
        roots=claims_in(charges) - len(again),
    )


def _prefixes(group: bytes) -> list[bytes]:
    return [kind + group for kind in _KINDS]


def _summed(claims: Iterable[Claim]) -> Charges:
    charges: Charges = ()
    for claim in claims:
        charges = with_claim(charges, claim)
    return charges


def _decode_charges(raw: bytes) -> Charges:
    return decode(Charges, raw)


def _decode_acquaintance(raw: bytes) -> Acquaintance:
    return decode(Acquaintance, raw)
