"""providers: who says that it holds a CID."""

from __future__ import annotations

from dhtstore.dht.engine.harvest import FoundProviders, Provider
from dhtstore.dht.service import DhtService
from dhtstore.errors import NotFound
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.checking.ask import Found, HolderChecks, Question, of_signers, told_of
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.content import ProviderInfo
from dhtstore.operations.moment import Moment
from dhtstore.params import LOOKUP_TIMEOUT_S, PROVIDERS_PER_KEY_MAX


async def providers(
    session: FetchSession, checker: HolderChecks, root: Cid, names: tuple[str, ...], *, check: bool
) -> list[ProviderInfo]:
    """By node id; with ``check`` they are asked now.  Raises NotFound when there are none,
    Unreachable when nobody answers, and what ``FetchSession.ask`` raises."""
    resolved = await session.resolve(root, names)
    unit, own = resolved.place.unit, checker.identity.public_key
    found = await found_providers(checker.reach.dht, unit)
    if not found.providers:
        raise NotFound(f"nobody provides {resolved.cid} ({found.extent()})")
    told = told_of(found.providers, checker.reach)
    asked = {key: addresses for key, addresses in told.items() if check or key == own}
    receipts = await session.disk.blocking.run(checker.ledger.receipts.for_root, root)
    signed = {each.signer: each.time for each in receipts if each.unit == unit.name}
    said = await checker.check(Question(unit, signed, put_here=bool(receipts)), asked)
    await checker.write_down(root, {unit.name: of_signers(said, signed)})
    rows = (_row(each, said, each.record.signer in signed) for each in found.providers)
    return sorted(rows, key=lambda row: row.node)


async def found_providers(dht: DhtService, unit: Unit) -> FoundProviders:
    """Everybody who says that it holds the unit; raises Unreachable."""
    return await dht.find_providers(
        unit.key, wanted=PROVIDERS_PER_KEY_MAX, timeout_s=LOOKUP_TIMEOUT_S
    )


def _row(provider: Provider, said: Found, signed: bool) -> ProviderInfo:
    record, contact = provider.record, provider.contact
    proof = said.get(node_id(record.signer))
    return ProviderInfo(
        node=format_node(node_id(record.signer)),
        public_key=record.public_key.hex(),
        addresses=[str(each) for each in contact.address_list()] if contact else [],
        issued=Moment.at(record.issued),
        expires=Moment.at(record.expires),
        state=proof.state if proof else "believed" if signed else "announced",
        why=proof.why if proof else "",
    )
