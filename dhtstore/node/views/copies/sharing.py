"""What several owners keep of one thing: who wants how many copies, and which of them serve only
another one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from msgspec.structs import replace

from dhtstore.model.cid import Cid
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.context import Ledger
from dhtstore.node.views.copies.safety import Safety
from dhtstore.operations.keeping import PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import OwnerWants
from dhtstore.store.ledger.listing.tally import plausible

_CLAIMS_LOOKED_AT_MAX: Final = 64  # of a unit: thousands may want what all the world has
_OWNERS_TOLD_MAX: Final = 64


def with_others(ledger: Ledger, safety: Safety, put: PutSummary) -> PutSummary:
    """The row of a put of which too few signed, or too few of those answer: with those that this
    node found to hold a copy, and that signed none, there may be enough, and then nobody repairs.
    What was never made this node makes, if it is a holder.  In a worker."""
    root, signed = Cid.parse(put.cid), dict[bytes, set[bytes]]()
    for unit, node in plausible(ledger.receipts.for_root(root), ledger.receipts.proofs(root)):
        signed.setdefault(unit, set()).add(node)
    units = ledger.roots.units(root)
    live = min((_live(ledger, safety, each, signed.get(each.name)) for each in units), default=0)
    if live < put.replicas or live <= put.live:
        made = min((ledger.receipts.count(root, each.name) for each in units), default=0)
        makes = made < put.replicas and any(ledger.claims.owns(each.name) for each in units)
        return replace(put, due=Moment.at(safety.now_unix_s)) if makes else put
    return replace(put, state="shared", others=live - put.live)


def _live(ledger: Ledger, safety: Safety, unit: Unit, signed: set[bytes] | None) -> int:
    """How many hold it by what they signed or proved, and are not silent."""
    rows = ledger.holders.get((unit.name, unit.spine)).holders
    proved = (row for row in rows if row.proven_unix_s and not row.lacks)
    nodes = {bytes(node_id(PublicKey(row.key))) for row in proved} | (signed or set())
    return len(nodes - safety.silent.keys())


def owners_of(
    ledger: Ledger, owner: bytes, own: Policy | None, units: Sequence[Unit], now_unix_s: float
) -> list[OwnerWants]:
    """Whose claims on some of ``units`` are known here; first ``owner``, who wants ``own``.  In a
    worker."""
    wanted: dict[bytes, Policy] = {} if own is None else {owner: own}
    for unit in units:
        for claim in islice(ledger.claims.for_unit(unit.name), _CLAIMS_LOOKED_AT_MAX):
            policy, before = claim.policy, wanted.get(claim.policy.owner)
            more = before is None or policy.replicas > before.replicas
            known = before is not None or len(wanted) < _OWNERS_TOLD_MAX
            if policy.active(now_unix_s) and known and more:
                wanted[policy.owner] = policy
    told = sorted(wanted.values(), key=lambda each: (each.owner != owner, each.owner))
    return [_told(each, own=each.owner == owner) for each in told]


def _told(policy: Policy, *, own: bool) -> OwnerWants:
    expires = Moment.at_or_never(policy.expires)
    root = unit_text(policy.root)
    return OwnerWants(policy.owner.hex(), root, policy.replicas, expires, own)
