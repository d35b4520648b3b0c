"""Join: seeds -> authenticated contacts -> bootstrap -> routing table.

A seed is dialled by TCP first: that proves its key, tells a wrong network apart from silence,
and only then is UDP used towards it.  Peers saved by an earlier run serve as seeds too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from dhtstore.errors import ConnectionLost, DhtstoreError, RefusedByNetwork, Unreachable
from dhtstore.model.contact import Address, Contact, split_host_port
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.net.addresses import resolve
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.links.link import Link
from dhtstore.node.links.pool import Links
from dhtstore.params import DIAL_TIMEOUT_S
from dhtstore.tasks import run_all
from dhtstore.wire.ticket import Ticket, looks_like_ticket

SEEDS_AT_ONCE = 8


LearnSeed = Callable[[str, PublicKey], None]  # HOST:PORT, the key that was shown there


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys of seeds given as HOST:PORT: ``known`` from earlier, ``learn`` for a first meeting."""

    known: Mapping[str, PublicKey] = field(default_factory=dict)
    learn: LearnSeed = lambda seed, key: None


@dataclass(frozen=True, slots=True)
class Joined:
    """``answered`` contacts replied; ``failures`` maps seeds that did not to the reason."""

    answered: int
    failures: Mapping[str, str]


async def join(
    disk: Disk, ledger: Ledger, network: Network, reach: Reach, seeds: Sequence[str], trust: Trust
) -> Joined:
    """Enter the network through tickets or HOST:PORT seeds and the peers saved before.

    With neither, this node starts a network.  Raises RefusedByNetwork when a seed is of another
    network or shows another key than known, InvalidTicket, UsageError, and Unreachable when
    seeds were given and nobody answered.
    """
    for seed in seeds:
        _check_form(seed)
    failures: dict[str, str] = {}
    dials = [partial(_meet, network, reach.links, seed, trust, failures) for seed in seeds]
    met = [contact for contact in await run_all(dials, limit=SEEDS_AT_ONCE) if contact]
    saved = await disk.blocking.run(ledger.peers.load)
    contacts = met + saved
    answered = await reach.dht.bootstrap(contacts) if contacts else 0
    if seeds and not answered:
        raise Unreachable(f"none of the seeds answered: {_reasons(failures)}")
    return Joined(answered, failures)


def _check_form(seed: str) -> None:
    """A seed that was mistyped stops the start, whatever the others say."""
    if looks_like_ticket(seed):
        Ticket.parse(seed)
    else:
        split_host_port(seed)


async def _meet(
    network: Network, links: Links, seed: str, trust: Trust, failures: dict[str, str]
) -> Contact | None:
    """Prove a seed's key over TCP; None, with the reason noted, if it cannot be reached."""
    try:
        link = await _dial(network, links, seed, trust)
    except RefusedByNetwork:
        raise
    except (DhtstoreError, OSError) as error:
        failures[seed if len(seed) < 40 else f"{seed[:20]}..."] = str(error)
        return None
    storage = link.peer_record is not None and link.peer_record.capacity_bytes > 0
    return Contact.of(link.public_key, link.remote, storage=storage)


async def _dial(network: Network, links: Links, seed: str, trust: Trust) -> Link:
    if looks_like_ticket(seed):
        ticket = Ticket.parse(seed)
        if ticket.network != network.name:
            raise RefusedByNetwork(
                f"the ticket is for network {ticket.network!r}, this node is in {network.name!r}"
            )
        return await links.to(ticket.public_key, ticket.addresses, DIAL_TIMEOUT_S)
    addresses = await resolve(*split_host_port(seed))
    if (known := trust.known.get(seed)) is not None:
        return await links.to(known, addresses, DIAL_TIMEOUT_S)
    link = await dial_unknown(links, addresses)
    trust.learn(seed, link.public_key)
    return link


async def dial_unknown(links: Links, addresses: Sequence[Address]) -> Link:
    """The first that answers: of a name's addresses often only those of one family do.

    Raises ConnectionLost, RefusedByNetwork, PeerRefused.
    """
    lost: ConnectionLost | None = None
    for address in addresses:
        try:
            return await links.dial_unknown(address, DIAL_TIMEOUT_S)
        except ConnectionLost as error:
            lost = error
    raise lost or ConnectionLost("a name without addresses")


def _reasons(failures: Mapping[str, str]) -> str:
    return "; ".join(f"{seed}: {why}" for seed, why in failures.items()) or "no reply over UDP"
