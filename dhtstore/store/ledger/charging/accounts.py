"""What owners, origins and newcomers are charged with: sums that are kept up, claim by claim."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from dhtstore.model.policy import Claim, Holdings, Usage
from dhtstore.params import NEWCOMER_AGE_S
from dhtstore.store.ledger.entries import Acquaintance, Charge, Charges


def with_claim(charges: Charges, claim: Claim) -> Charges:
    """One more claim of that owner on that unit."""
    rest, old = _parted(charges, claim.origin)
    charged_bytes = max(old.charged_bytes, claim.charged_bytes)
    rows_bytes = old.rows_bytes + claim.ledger_bytes
    return (*rest, Charge(claim.origin, charged_bytes, old.claims + 1, rows_bytes))


def without_claim(charges: Charges, claim: Claim) -> Charges:
    """One claim less.  What the others of its origin are charged with stays the most of them all:
    whoever claims one unit twice claims the same blocks."""
    rest, old = _parted(charges, claim.origin)
    if old.claims <= 1:
        return rest
    rows_bytes = old.rows_bytes - claim.ledger_bytes
    return (*rest, Charge(claim.origin, old.charged_bytes, old.claims - 1, rows_bytes))


def _parted(charges: Charges, origin: str) -> tuple[Charges, Charge]:
    """Those of other origins, and that of this one."""
    own = next((each for each in charges if each.origin == origin), Charge(origin, 0, 0, 0))
    return tuple(each for each in charges if each.origin != origin), own


def claims_in(charges: Charges) -> int:
    return sum(each.claims for each in charges)


def owner_bytes(charges: Charges) -> int:
    """What the owner is charged with: the unit once, and each row."""
    content_bytes = max((each.charged_bytes for each in charges), default=0)
    return content_bytes + sum(each.rows_bytes for each in charges)


@dataclass(slots=True)
class _Account:
    """Of one owner; ``origin`` is that of its first claim.  One whose first claim was taken by an
    earlier version is not new."""

    bytes: int = 0
    claims: int = 0
    units: int = 0
    origin: str = ""
    new: bool = False


class Accounts:
    """What owners, origins and newcomers are charged with.  Not thread-safe.  The units of ``own``
    are not counted."""

    def __init__(self, own: bytes = b"") -> None:
        self._own = own
        self.ledger_bytes = 0
        self._units = self._new_units = 0
        self._units_of_origin: Counter[str] = Counter()
        self._owners: dict[bytes, _Account] = {}
        self._origins: Counter[str] = Counter()
        self._new: OrderedDict[bytes, float] = OrderedDict()  # when each came, the first one first
        self._new_bytes = 0
        self._new_of_origin: Counter[str] = Counter()

    def knows(self, owner: bytes) -> bool:
        return owner in self._owners

    def claims(self, owner: bytes) -> int:
        """How many it has here, pending ones included."""
        return self._owners[owner].claims

    def meet(self, owner: bytes, met: Acquaintance) -> None:
        """An owner that is a newcomer until its time is over."""
        account = self._owners.setdefault(owner, _Account())
        account.origin, account.new = met.origin, True
        self._new[owner] = met.since_unix_s
        self._new_bytes += account.bytes
        self._new_units += account.units
        self._new_of_origin[met.origin] += 1

    def change(self, owner: bytes, before: Charges, after: Charges) -> None:
        """One owner's claims on one unit changed from one to the other."""
        account = self._owners.setdefault(owner, _Account())
        more_bytes = owner_bytes(after) - owner_bytes(before)
        account.bytes += more_bytes
        account.claims += claims_in(after) - claims_in(before)
        self._new_bytes += more_bytes if account.new else 0
        for charges, sign in ((before, -1), (after, 1)):
            for each in charges:
                self.ledger_bytes += sign * each.rows_bytes
                _add(self._origins, each.origin, sign * (each.charged_bytes + each.rows_bytes))
        if owner != self._own:
            self._count_unit(account, before, after)
        if not account.claims:
            self._grown_up(owner)
            del self._owners[owner]

    def _count_unit(self, account: _Account, before: Charges, after: Charges) -> None:
        more = bool(after) - bool(before)
        account.units += more
        self._units += more
        self._new_units += more if account.new else 0
        for charges, sign in ((before, -1), (after, 1)):
            for each in charges:
                _add(self._units_of_origin, each.origin, sign)

    def usage(self, owner: bytes, origin: str, now_unix_s: float) -> Usage:
        self._grow_up(now_unix_s)
        account = self._owners.get(owner)
        return Usage(
            owner_bytes=account.bytes if account else 0,
            origin_bytes=self._origins[origin],
            newcomers_bytes=self._new_bytes,
            owners=len(self._owners),
            newcomers=len(self._new),
            origin_newcomers=self._new_of_origin[origin],
            known=account is not None,
            new=account is None or account.new,
            units=self._units,
            origin_units=self._units_of_origin[origin],
            newcomers_units=self._new_units,
        )

    def holdings(self, now_unix_s: float) -> Holdings:
        """Goes through all owners and origins: for people who ask."""
        self._grow_up(now_unix_s)
        others = [each.bytes for owner, each in self._owners.items() if owner != self._own]
        own = self._owners.get(self._own)
        return Holdings(
            own_bytes=own.bytes if own else 0,
            others_bytes=sum(others),
            newcomers_bytes=self._new_bytes,
            largest_owner_bytes=max(others, default=0),
            origins_bytes={origin: size for origin, size in self._origins.items() if origin},
        )

    def _grow_up(self, now_unix_s: float) -> None:
        """In the order in which they came: each is looked at once."""
        while self._new:
            owner, since_unix_s = next(iter(self._new.items()))
            if since_unix_s + NEWCOMER_AGE_S > now_unix_s:
                return
            self._grown_up(owner)

    def _grown_up(self, owner: bytes) -> None:
        """It is no newcomer any more, or nothing here is claimed by it."""
        account = self._owners[owner]
        if not account.new:
            return
        account.new = False
        del self._new[owner]
        self._new_bytes -= account.bytes
        self._new_units -= account.units
        _add(self._new_of_origin, account.origin, -1)


def _add(counter: Counter[str], origin: str, more: int) -> None:
    counter[origin] += more
    if not counter[origin]:
        del counter[origin]
