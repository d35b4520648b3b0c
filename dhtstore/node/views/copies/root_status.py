"""status of a root: which copies there are, as far as anybody can tell, or as holders say now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_row

from dhtstore.dht.engine.harvest import Provider
from dhtstore.errors import Unreachable
from dhtstore.model.cid import Cid
from dhtstore.model.identity import NodeId, PublicKey, format_node, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.receipt import Receipt
from dhtstore.model.unit import Unit, unit_text
from dhtstore.node.checking.ask import Found, HolderChecks, Question, of_signers, told_of
from dhtstore.node.fetching.session import FetchSession
from dhtstore.node.views.copies.safety import Safety
from dhtstore.node.views.copies.sharing import owners_of, with_others
from dhtstore.node.views.providers import found_providers
from dhtstore.operations.moment import Moment
from dhtstore.operations.nodes import (
    SIGNED_BEFORE,
    UNSIGNED,
    HolderStatus,
    ProvedBy,
    RootStatus,
    UnitStatus,
)
from dhtstore.params import PROVIDER_TTL_S
from dhtstore.replication.quorum import Quorum
from dhtstore.store.ledger.listing.places import HolderPlace
from dhtstore.store.ledger.listing.tally import Evidence, Proof, plausible

NO_RECEIPT = "it signed no receipt"


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What lies here of one root."""

    receipts: Sequence[Receipt]
    proofs: Evidence
    put_here: bool
    policy: Policy | None = None

    def signed(self, unit: Unit) -> dict[PublicKey, int]:
        """Who signed for a unit, and when."""
        return {each.signer: each.time for each in self.receipts if each.unit == unit.name}

    def newest(self, unit: Unit) -> set[PublicKey]:
        """Who signed for it under the newest policy."""
        newest = self.policy.sequence if self.policy else 0
        own = (each for each in self.receipts if each.unit == unit.name)
        return {each.signer for each in own if each.policy_seq >= newest}

    def last(self, unit: Unit, node: NodeId) -> Proof:
        return self.proofs.get((unit.name, node)) or Proof(0, "live")


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found out about one unit now: who announces it, and since when (None where nobody
    could be asked for that), and what holders ``said``."""

    unit: Unit
    signed: Mapping[PublicKey, int]
    announced: Mapping[PublicKey, int] | None
    said: Found


async def root_status(
    session: FetchSession,
    checker: HolderChecks,
    root: Cid,
    min_acks: int | None,
    *,
    check: bool,
    safety: Callable[[], Awaitable[Safety]] | None = None,
) -> RootStatus:
    """Asks the network who says that it holds each unit, one after the other, and with ``check``
    the holders themselves; raises Unreachable when nobody answers, and what
    ``FetchSession.units`` raises.  This node counts only for what is here whole.

    Of what was put from here the copies are those of ``list``: what speaks for and against holders
    that signed is written down, and a stranger who announces a unit counts for nothing.  Of
    anything else those count that proved it now.
    """
    run, ledger = session.disk.blocking.run, checker.ledger
    record = await run(ledger.puts.get, root)
    receipts = await run(ledger.receipts.for_root, root)
    put_here = record is not None or bool(receipts)
    policy = record.policy if record else None
    known = _Remembered(receipts, await run(ledger.receipts.proofs, root), put_here, policy)
    units = await run(ledger.roots.units, root) or await session.units(root)
    looks = [await _look(checker, root, unit, known, check=check) for unit in units]
    known = replace(known, receipts=[*receipts, *checker.receipts(root)])
    now_unix_s = checker.identity.now_unix_s()
    news = {look.unit.name: _news(look, known, now_unix_s) for look in looks}
    await checker.write_down(root, news)
    known_now = await safety() if safety else None
    rows = _rows(looks, known, news, known_now.places if known_now else {})
    listed = await run(ledger.puts.summary, root)
    put = known_now.told(listed) if known_now and listed else None
    if put and known_now and put.state in ("short", "silent"):
        put = await run(with_others, ledger, known_now, put)
    replicas = record.policy.replicas if record else None
    owner = checker.identity.owner
    copies = min(len(row.providers) for row in rows)
    return RootStatus(
        cid=str(root),
        replicas=replicas,
        copies=copies if replicas is None else min(copies, replicas),
        units=rows,
        min_acks=Quorum.of(replicas or 1, None, min_acks).copies,
        checked=check,
        put=put,
        owners=await run(owners_of, ledger, owner, policy, units, now_unix_s),
    )


async def _look(
    checker: HolderChecks, root: Cid, unit: Unit, known: _Remembered, *, check: bool
) -> _Look:
    """Only where all are asked does this node sign again under a newer policy: once one has, what
    others signed before counts no more."""
    signed = known.signed(unit)
    providers = await _providers(checker, unit, known=bool(signed))
    told = told_of(providers or [], checker.reach)
    keys: dict[PublicKey, None] = dict.fromkeys([*told, *signed])
    own = checker.identity.public_key
    asked = keys if check else [key for key in keys if key == own]
    policy = known.policy if check or own not in signed else None
    question = Question(unit, signed, known.put_here, policy, known.newest(unit))
    said = await checker.check(question, {key: told.get(key, []) for key in asked})
    fresh = [each for each in checker.receipts(root) if each.unit == unit.name]
    signed |= {each.signer: each.time for each in fresh}
    announced = {each.record.signer: each.record.issued for each in providers or []}
    return _Look(unit, signed, None if providers is None else announced, said)


async def _providers(
    checker: HolderChecks, unit: Unit, *, known: bool
) -> Sequence[Provider] | None:
    """None where no index node answers and holders are ``known`` here; else raises Unreachable."""
    try:
        return (await found_providers(checker.reach.dht, unit)).providers
    except Unreachable:
        if not known:
            raise
        return None


def _news(look: _Look, known: _Remembered, now_unix_s: int) -> Found:
    """What is to be known of those who signed from now on: what they said, else what their silence
    in the network says, or their coming back."""
    news = of_signers(look.said, look.signed)
    for key, signed_unix_s in look.signed.items():
        node, announced = node_id(key), look.announced
        last = known.last(look.unit, node)
        if node in news or announced is None:
            continue
        issued_unix_s, live = announced.get(key), last.state == "live"
        old = now_unix_s - max(signed_unix_s, last.unix_s) > PROVIDER_TTL_S
        if issued_unix_s is None:
            if last.state in ("live", "silent") and old:
                news[node] = Proof(now_unix_s, "gone", "nobody announces it any more")
        elif not live and (last.state == "gone" or issued_unix_s > last.unix_s):
            news[node] = Proof(0, "live")  # it is back: nothing speaks against it any more
    return news


def _rows(
    looks: Sequence[_Look],
    known: _Remembered,
    news: Mapping[bytes, Found],
    places: Mapping[bytes, HolderPlace],
) -> list[UnitStatus]:
    fresh: dict[tuple[bytes, bytes], Proof] = {
        (unit, node): each for unit, some in news.items() for node, each in some.items()
    }
    now_known = replace(known, proofs={**known.proofs, **fresh})
    proved = plausible(now_known.receipts, now_known.proofs)
    return [_unit_status(look, now_known, proved, places) for look in looks]


def _unit_status(
    look: _Look,
    known: _Remembered,
    proved: Mapping[tuple[bytes, bytes], int],
    places: Mapping[bytes, HolderPlace],
) -> UnitStatus:
    name, announced = look.unit.name, look.announced or {}
    counted = (
        {node for unit, node in proved if unit == name}
        if known.put_here
        else {bytes(node) for node, each in look.said.items() if each.state == "live"}
    )
    keys: dict[PublicKey, None] = dict.fromkeys([*announced, *look.signed])
    rows = [_holder(key, look, known, counted=node_id(key) in counted) for key in keys]
    rows = [_placed(row, places) for row in sorted(rows, key=lambda row: row.node)]
    texts = {format_node(node_id(key)) for key in keys if node_id(key) in counted}
    return UnitStatus(
        unit_text(name),
        look.unit.size_bytes,
        [row.node for row in rows if row.node in texts],
        rows,
        [row.node for row in rows if row.state in UNSIGNED],
    )


def _placed(row: HolderStatus, places: Mapping[bytes, HolderPlace]) -> HolderStatus:
    place = places.get(bytes.fromhex(row.node))
    return replace_row(row, network=place.network, domain=place.label) if place else row


def _holder(key: PublicKey, look: _Look, known: _Remembered, *, counted: bool) -> HolderStatus:
    node, announced = node_id(key), look.announced or {}
    last = known.last(look.unit, node)
    seen_unix_s = max(look.signed.get(key, 0), announced.get(key, 0))
    proved_unix_s = max(seen_unix_s, last.unix_s if last.state == "live" else 0)
    now_said = look.said.get(node)
    if now_said is not None:
        state, why = now_said.state, now_said.why
        if state == "live" and known.put_here and not counted:
            why = NO_RECEIPT
    elif counted:
        state, why = "believed", ""
    elif key not in look.signed:
        state, why = "announced", NO_RECEIPT if known.put_here else ""
    elif last.state != "live":
        state, why = last.state, last.why
    else:
        state, why = "announced" if key in announced else "gone", SIGNED_BEFORE
    by = _proof(proved_unix_s, look.signed.get(key), announced.get(key))
    proved = Moment.at_or_never(proved_unix_s)
    return HolderStatus(format_node(node), state, proved, why, by if proved else "")


def _proof(unix_s: int, signed_unix_s: int | None, announced_unix_s: int | None) -> ProvedBy:
    if unix_s == signed_unix_s:
        return "receipt"
    return "record" if unix_s == announced_unix_s else "check"
