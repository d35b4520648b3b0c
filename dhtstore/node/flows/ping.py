"""ping: whatever names a node -> contact -> one round trip."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from dhtstore.dht.service import DhtService
from dhtstore.errors import (
    AmbiguousName,
    ConnectionLost,
    RefusedByNetwork,
    UnknownNode,
    Unreachable,
    UsageError,
)
from dhtstore.model.contact import Contact, split_host_port
from dhtstore.model.identity import NodeId, PublicKey, format_node, node_id
from dhtstore.model.network import Network
from dhtstore.net.addresses import resolve
from dhtstore.node.context import Reach
from dhtstore.node.flows.meet import dial_unknown
from dhtstore.node.identity import Identity
from dhtstore.node.links.pool import Links
from dhtstore.operations.nodes import PingResult
from dhtstore.params import (
    LOOKUP_TIMEOUT_S,
    NODE_ID_BYTES,
    PUBLIC_KEY_BYTES,
    RPC_TIMEOUT_MAX_S,
)
from dhtstore.wire.ticket import TICKET_PREFIX, Ticket

_TRIES = 2  # a lost datagram is no dead node
_ID_PREFIX_MIN_CHARS = 4  # as of git's commits: less is a slip of the pen
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_LISTED_MAX = 20


async def ping(identity: Identity, reach: Reach, target: str) -> PingResult:
    """Measure a round trip to ``target``: a node id or public key in hex, the beginning of the id
    of a peer that is known here, a ticket or HOST:PORT.

    Raises UsageError, AmbiguousName, InvalidTicket, RefusedByNetwork, UnknownNode (no address
    known), ConnectionLost (nobody at HOST:PORT) and Unreachable (none of its addresses answers, or
    nobody who may know them).
    """
    contacts = await _contacts(identity, reach, target)
    if contacts[0].node == identity.node:
        return PingResult(format_node(identity.node), str(contacts[0].address), 0.0, itself=True)
    causes: dict[str, str] = {}
    found = await _first_answer(reach.dht, contacts, causes)
    if found is None:
        found = await _first_answer(reach.dht, await _moved(reach.dht, contacts[0], causes), causes)
    if found is not None:
        return found
    reasons = "; ".join(f"{address}: {cause}" for address, cause in causes.items())
    raise Unreachable(f"node {format_node(contacts[0].node)} does not answer ({reasons})").hinted(
        "it may be offline, or a firewall may stand between: both TCP and UDP must pass"
    )


async def _first_answer(
    dht: DhtService, contacts: Sequence[Contact], causes: dict[str, str]
) -> PingResult | None:
    """By the first of ``contacts`` that answers; why the others did not goes to ``causes``."""
    for contact in contacts:
        for _ in range(_TRIES):
            try:
                rtt_s = await dht.ping(contact, RPC_TIMEOUT_MAX_S)
            except ConnectionLost as error:
                causes[str(contact.address)] = str(error)
            else:
                return PingResult(format_node(contact.node), str(contact.address), rtt_s * 1000)
    return None


async def _moved(dht: DhtService, contact: Contact, tried: Container[str]) -> list[Contact]:
    """Where else the network says that it can be reached; nowhere, if it is as silent."""
    try:
        return await _recorded(dht, contact.node, tried)
    except Unreachable:
        return []


async def _recorded(dht: DhtService, node: NodeId, tried: Container[str]) -> list[Contact]:
    """Where the network says that it can be reached, without what was ``tried``."""
    record = await dht.find_contact(node, timeout_s=LOOKUP_TIMEOUT_S)
    if record is None:
        return []
    told = [Contact.of(record.signer, address) for address in record.address_list()]
    return [contact for contact in told if str(contact.address) not in tried]


async def _contacts(identity: Identity, reach: Reach, target: str) -> list[Contact]:
    """At least one."""
    target = target.strip()
    if target.startswith(TICKET_PREFIX):
        return _of_ticket(identity.network, target)
    if ":" in target:
        return await _of_address(reach.links, target)
    known = [identity.node, *(contact.node for contact in reach.dht.contacts())]
    return await _of_id(identity, reach.dht, named_node(target, known))


def _of_ticket(network: Network, target: str) -> list[Contact]:
    ticket = Ticket.parse(target)
    if ticket.network != network.name:
        raise RefusedByNetwork(f"the ticket is for network {ticket.network!r}")
    return ticket.contacts()


async def _of_address(links: Links, target: str) -> list[Contact]:
    """Whoever proves its key there."""
    addresses = await resolve(*split_host_port(target))
    try:
        link = await dial_unknown(links, addresses)
    except ConnectionLost as error:
        error.hinted("check the address, and that a node listens there: `dhtstore id` says where")
        raise
    return [Contact.of(link.public_key, link.remote)]


def named_node(text: str, known: Iterable[NodeId]) -> NodeId:
    """The node of an id or a key, or the only one ``known`` whose id begins so.

    Raises UsageError, AmbiguousName and UnknownNode."""
    if _ID_PREFIX_MIN_CHARS <= len(text) < 2 * NODE_ID_BYTES and not set(text) - _HEX_DIGITS:
        return _beginning(text.lower(), known)
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) == PUBLIC_KEY_BYTES:
        return node_id(PublicKey(raw))
    if len(raw) != NODE_ID_BYTES:
        raise UsageError(
            "a node is named by its id (40 hex digits, or the first of them), its public key (64),"
            f" a ticket or HOST:PORT, not by {text[:80]!r}"
        ).hinted("`dhtstore peers` lists who is known here")
    return NodeId(raw)


def _beginning(text: str, known: Iterable[NodeId]) -> NodeId:
    found = {format_node(node): node for node in known if format_node(node).startswith(text)}
    if len(found) > 1:
        several = dict(list(dict.fromkeys(found, "a node known here").items())[:_LISTED_MAX])
        raise AmbiguousName(
            f"{len(found)} nodes have an id that begins with {text}", causes=several
        )
    if not found:
        raise UnknownNode(f"no node that is known here has an id that begins with {text}")
    return next(iter(found.values()))


async def _of_id(identity: Identity, dht: DhtService, wanted: NodeId) -> list[Contact]:
    if wanted == identity.node:
        return [Contact.of(identity.public_key, address) for address in identity.addresses()]
    known = [contact for contact in dht.contacts() if contact.node == wanted]
    known = known or await _recorded(dht, wanted, ())
    if not known:
        raise UnknownNode(f"nobody knows an address of node {format_node(wanted)}")
    return known
