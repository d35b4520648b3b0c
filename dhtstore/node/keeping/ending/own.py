"""What this node's owner has here, and how that ends: by `rm` here, or on another machine of the
same owner."""

from __future__ import annotations

from dataclasses import dataclass

from dhtstore.model.cid import Cid
from dhtstore.model.policy import Claim
from dhtstore.model.unit import Unit
from dhtstore.node.context import Ledger
from dhtstore.node.copies.kept import unit_of_claim


@dataclass(frozen=True, slots=True)
class EndOwn:
    """``own`` is the owner that this node belongs to.  All of it in workers."""

    ledger: Ledger
    own: bytes

    def is_ours(self, root: Cid) -> bool:
        """Whether there is anything to end."""
        pinned = any(pin.cid == root and pin.kind == "put" for pin in self.ledger.pins.list())
        return pinned or self.ledger.puts.known(root) or bool(self.claims(root))

    def claims(self, root: Cid) -> list[Claim]:
        """What our owner claims for it: a put of another node of the same owner is ours, too."""
        claims = self.ledger.claims
        names = [unit.name for unit in self.ledger.roots.units(root)] or claims.own_units()
        return list(claims.owned(self.own, root.raw, names))

    def end(self, root: Cid) -> list[Unit]:
        """Claims, pin and put, in an order in which what is left after a crash is found again; the
        units it had."""
        ledger, claims = self.ledger, self.claims(root)
        units = ledger.roots.units(root) or [unit_of_claim(claim) for claim in claims]
        ledger.removals.begin(root)
        for claim in claims:
            ledger.claims.end(claim)
        ledger.pins.remove(root, "put")
        ledger.puts.remove(root)
        ledger.removals.end(root)
        return units

    def resume(self) -> None:
        """What a crash interrupted; before anything is collected."""
        for root in self.ledger.removals.begun():
            self.end(root)
