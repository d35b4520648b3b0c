"""What the receipts of a root come to, with what its holders said since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from dhtstore.model.receipt import Receipt
from dhtstore.params import LISTED_SETS_MAX


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """What came of asking a holder, at ``unix_s``, whether it still holds a unit: "live", "lacks"
    or "silent" (not reached), and ``why``."""

    unix_s: int
    state: str
    why: str = ""


Evidence = Mapping[tuple[bytes, bytes], Proof]  # (unit, node) -> the last
Plausible = Mapping[tuple[bytes, bytes], int]  # (unit, node) -> when it was last proved


class Tally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the receipts of one root come to.

    ``copies`` is the smallest number over its units of copies that are plausible: of those that
    signed for the newest policy, or were found live since it, and were not found otherwise since.
    ``proved_unix_s`` is when the one of them was last proved that was not for longest, 0 where
    there is none.
    """

    copies: int = 0
    proved_unix_s: int = 0

    @classmethod
    def of(cls, proved: Plausible, units: int, replicas: int) -> Tally:
        """Of a root that is cut into ``units``."""
        per_unit = Counter(unit for unit, _ in proved)
        complete = bool(per_unit) and len(per_unit) >= units
        copies = min(per_unit.values()) if complete else 0
        return cls(min(copies, replicas), min(proved.values(), default=0))


def holder_sets(proved: Plausible) -> tuple[bytes, ...]:
    """Who holds copies, unit by unit, their ids one behind the other: each set of holders once, the
    smallest first, as many as a row of a list has room for."""
    by_unit: dict[bytes, list[bytes]] = {}
    for unit, node in proved:
        by_unit.setdefault(unit, []).append(node)
    sets = {b"".join(sorted(nodes)) for nodes in by_unit.values()}
    return tuple(sorted(sets, key=lambda each: (len(each), each))[:LISTED_SETS_MAX])


def plausible(receipts: Iterable[Receipt], proofs: Evidence) -> dict[tuple[bytes, bytes], int]:
    """The copies that count by all receipts for a root, (unit, node) -> when it was last proved:
    whoever signed for the newest policy, or was found live since it, and was not found otherwise
    since."""
    known = list(receipts)
    newest = max((receipt.policy_seq for receipt in known), default=0)
    since_unix_s = min((each.time for each in known if each.policy_seq == newest), default=0)
    proved: dict[tuple[bytes, bytes], int] = {}
    for receipt in known:
        copy = (receipt.unit, receipt.node)
        proof = proofs.get(copy, Proof(0, "live"))
        latest = max(proof.unix_s if proof.state == "live" else 0, receipt.time)
        refuted = proof.state != "live" and proof.unix_s >= receipt.time
        if not refuted and (receipt.policy_seq == newest or latest > since_unix_s):
            proved[copy] = latest
    return proved
