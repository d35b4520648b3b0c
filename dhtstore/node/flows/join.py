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

    With neither, this node starts a network.  One seed's failure is its own, whatever it says.
    Raises InvalidTicket, UsageError, and when seeds were given and nobody answered, not even a
    peer saved before, RefusedByNetwork if every seed is of another network or shows another key
    than known, else Unreachable.
    """
    for seed in seeds:
        _check_form(seed)
    failures: dict[str, Exception] = {}
    dials = [partial(_meet, network, reach.links, seed, trust, failures) for seed in seeds]
    met = [contact for contact in await run_all(dials, limit=SEEDS_AT_ONCE) if contact]
    saved = await disk.blocking.run(ledger.peers.load)
    contacts = met + saved
    answered = await reach.dht.bootstrap(contacts) if contacts else 0
    reasons = {_short(seed): str(error) for seed, error in failures.items()}
    if seeds and not answered:
        refused = [each for each in failures.values() if isinstance(each, RefusedByNetwork)]
        raise _nobody_answered(reasons, all_refused=len(refused) == len(set(seeds)))
    return Joined(answered, reasons)


def _check_form(seed: str) -> None:
    """A seed that was mistyped stops the start, whatever the others say."""
    if looks_like_ticket(seed):
        Ticket.parse(seed)
    else:
        split_host_port(seed)


async def _meet(
    network: Network, links: Links, seed: str, trust: Trust, failures: dict[str, Exception]
) -> Contact | None:
    """Prove a seed's key over TCP; None, with the reason noted, if that cannot be done."""
    try:
        link = await _dial(network, links, seed, trust)
    except (DhtstoreError, OSError) as error:
        failures[seed] = error
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


def _nobody_answered(reasons: Mapping[str, str], *, all_refused: bool) -> DhtstoreError:
    told = "; ".join(f"{seed}: {why}" for seed, why in reasons.items()) or "no reply over UDP"
    if all_refused:
        return RefusedByNetwork(f"refused by every seed: {told}")
    return Unreachable(f"none of the seeds answered: {told}")


def _short(seed: str) -> str:
    """Tickets differ at their end; their beginning may be the same in all of a network."""
    return seed if len(seed) < 40 else f"{seed[:12]}...{seed[-12:]}"
