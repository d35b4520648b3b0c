"""ping: node id or ticket -> contact -> one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dhtstore.errors import ConnectionLost, NotFound, RefusedByNetwork, Unreachable, UsageError
from dhtstore.model.contact import Contact
from dhtstore.model.identity import NodeId, format_node
from dhtstore.params import LOOKUP_TIMEOUT_S, NODE_ID_BYTES, RPC_TIMEOUT_MAX_S
from dhtstore.wire.ticket import TICKET_PREFIX, Ticket

if TYPE_CHECKING:
    from dhtstore.node.node import Node

_TRIES = 2  # a lost datagram is no dead node


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, where, and how fast."""

    node: str
    address: str
    rtt_ms: float


async def ping(node: Node, target: str) -> Answer:
    """Measure a round trip to ``target``, 40 hex digits or a ticket.

    Raises UsageError, InvalidTicket, RefusedByNetwork, NotFound (no address known) and
    Unreachable (none of its addresses answers).
    """
    contacts = _of_ticket(node, target) or await _of_id(node, _node_id(target))
    causes: dict[str, str] = {}
    for contact in contacts:
        for _ in range(_TRIES):
            try:
                rtt_s = await node.dht.ping(contact, RPC_TIMEOUT_MAX_S)
            except ConnectionLost as error:
                causes[str(contact.address)] = str(error)
            else:
                return Answer(format_node(contact.node), str(contact.address), rtt_s * 1000)
    reasons = "; ".join(f"{address}: {cause}" for address, cause in causes.items())
    raise Unreachable(f"node {format_node(contacts[0].node)} does not answer ({reasons})")


def _of_ticket(node: Node, target: str) -> list[Contact]:
    if not target.startswith(TICKET_PREFIX):
        return []
    ticket = Ticket.parse(target)
    if ticket.network != node.settings.network:
        raise RefusedByNetwork(f"the ticket is for network {ticket.network!r}")
    return ticket.contacts()


def _node_id(text: str) -> NodeId:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != NODE_ID_BYTES:
        raise UsageError(f"neither a node id (40 hex digits) nor a ticket: {text[:80]!r}")
    return NodeId(raw)


async def _of_id(node: Node, wanted: NodeId) -> list[Contact]:
    known = [contact for contact in node.dht.contacts() if contact.node == wanted]
    record = None
    if not known:
        record = await node.dht.find_contact(wanted, timeout_s=LOOKUP_TIMEOUT_S)
    if record is not None:
        known = [Contact.of(record.signer, address) for address in record.address_list()]
    if not known:
        raise NotFound(f"nobody knows an address of node {format_node(wanted)}")
    return known
