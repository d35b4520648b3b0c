"""status of a root: which copies there are, as far as anybody can tell, or as holders say now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dhtstore.dht.engine.harvest import Provider
from dhtstore.errors import Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import NodeId, PublicKey, format_node, node_id
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.checking.ask import Found, HolderChecks, told_of
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.views.providers import found_providers
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import HolderStatus, RootStatus, UnitStatus
from dhtstore.params import PROVIDER_TTL_S
from dhtstore.replication.quorum import Quorum
from dhtstore.store.ledger.puts import Evidence, Proof

COUNTED = ("live", "believed")


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What lies here of one root."""

    receipts: Sequence[Receipt]
    proofs: Evidence


async def root_status(
    session: FetchSession, checker: HolderChecks, root: Cid, min_acks: int | None, *, check: bool
) -> RootStatus:
    """Asks the network who says that it holds each unit, one after the other, and with ``check``
    the holders themselves, which is written down; raises Unreachable when nobody answers, and what
    ``FetchSession.units`` raises.  This node counts only for what is here whole."""
    run, ledger = session.disk.blocking.run, checker.ledger
    record = await run(ledger.puts.get, root)
    remembered = _Remembered(
        await run(ledger.receipts.for_root, root), await run(ledger.receipts.proofs, root)
    )
    rows: list[UnitStatus] = []
    said: dict[bytes, Found] = {}
    for unit in await run(ledger.roots.units, root) or await session.units(root):
        row, said[unit.name] = await _unit_status(checker, unit, remembered, check=check)
        rows.append(row)
    await checker.write_down(root, said)
    replicas = record.policy.replicas if record else None
    copies = min(len(row.providers) for row in rows)
    return RootStatus(
        cid=str(root),
        replicas=replicas,
        copies=copies if replicas is None else min(copies, replicas),
        units=rows,
        min_acks=Quorum.of(replicas or 1, None, min_acks).copies,
        checked=check,
    )


async def _unit_status(
    checker: HolderChecks, unit: Unit, remembered: _Remembered, *, check: bool
) -> tuple[UnitStatus, Found]:
    """And what holders said now."""
    receipts = [each for each in remembered.receipts if each.unit == unit.name]
    providers = await _providers(checker, unit, known=bool(receipts))
    told = told_of(providers, checker.reach)
    keys: dict[PublicKey, None] = dict.fromkeys([*told, *(each.signer for each in receipts)])
    own = checker.identity.public_key
    asked = keys if check else [key for key in keys if key == own]
    said = await checker.check(unit, {key: told.get(key, []) for key in asked})
    proved = _proved(providers, receipts)
    now_unix_s = checker.identity.now_unix_s()
    rows = sorted(
        (
            _holder(key, proved[key], said, remembered.proofs, unit, now_unix_s, key in told)
            for key in keys
        ),
        key=lambda row: row.node,
    )
    counted = [row.node for row in rows if row.state in COUNTED]
    return UnitStatus(unit_text(unit.name), unit.size_bytes, counted, rows), said


async def _providers(checker: HolderChecks, unit: Unit, *, known: bool) -> Sequence[Provider]:
    """None where no index node answers and holders are ``known`` here; else raises Unreachable."""
    try:
        return (await found_providers(checker.reach.dht, unit)).providers
    except Unreachable:
        if not known:
            raise
        return []


def _proved(providers: Iterable[Provider], receipts: Iterable[Receipt]) -> Mapping[PublicKey, int]:
    """When each last signed that it holds the unit."""
    proved: dict[PublicKey, int] = {}
    for each in providers:
        proved[each.record.signer] = each.record.issued
    for receipt in receipts:
        proved[receipt.signer] = max(receipt.time, proved.get(receipt.signer, 0))
    return proved


def _holder(
    key: PublicKey,
    signed_unix_s: int,
    said: Mapping[NodeId, Proof],
    proofs: Evidence,
    unit: Unit,
    now_unix_s: float,
    announced: bool,
) -> HolderStatus:
    node = node_id(key)
    now_said = said.get(node)
    last = now_said or proofs.get((unit.name, node)) or Proof(0, "live")
    proved_unix_s = max(signed_unix_s, last.unix_s if last.state == "live" else 0)
    state, why = "believed", ""
    if now_said is not None:
        state, why = now_said.state, now_said.why
    elif last.state != "live" and last.unix_s >= signed_unix_s:
        state, why = last.state, last.why
    elif not announced and now_unix_s - proved_unix_s > PROVIDER_TTL_S:
        state, why = "gone", "nobody announces it any more"
    return HolderStatus(format_node(node), state, Moment.at_or_never(proved_unix_s), why)
