"""providers: who says that it holds a CID."""

from __future__ import annotations

from dhtstore.dht.engine.harvest import FoundProviders, Provider
from dhtstore.dht.service import DhtService
from dhtstore.errors import NotFound
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node, node_id
from dhtstore.model.unit import Unit
from dhtstore.node.fetching.session import FetchSession
from dhtstore.operations.content import ProviderInfo
from dhtstore.operations.moment import Moment
from dhtstore.params import LOOKUP_TIMEOUT_S, PROVIDERS_PER_KEY_MAX


async def providers(
    session: FetchSession, dht: DhtService, root: Cid, names: tuple[str, ...]
) -> list[ProviderInfo]:
    """By node id; raises NotFound when there are none, Unreachable when nobody answers, and what
    ``FetchSession.ask`` raises."""
    resolved = await session.resolve(root, names)
    found = await _search(dht, resolved.place.unit)
    if not found.providers:
        raise NotFound(f"nobody provides {resolved.cid} ({found.extent()})")
    return _rows(found)


async def unit_providers(dht: DhtService, unit: Unit) -> list[ProviderInfo]:
    """Everybody who says that it holds the unit, by node id; raises Unreachable."""
    return _rows(await _search(dht, unit))


async def _search(dht: DhtService, unit: Unit) -> FoundProviders:
    return await dht.find_providers(
        unit.key, wanted=PROVIDERS_PER_KEY_MAX, timeout_s=LOOKUP_TIMEOUT_S
    )


def _rows(found: FoundProviders) -> list[ProviderInfo]:
    return sorted((_row(each) for each in found.providers), key=lambda row: row.node)


def _row(provider: Provider) -> ProviderInfo:
    record, contact = provider.record, provider.contact
    return ProviderInfo(
        node=format_node(node_id(record.signer)),
        public_key=record.public_key.hex(),
        addresses=[str(each) for each in contact.address_list()] if contact else [],
        issued=Moment.at(record.issued),
        expires=Moment.at(record.expires),
    )
