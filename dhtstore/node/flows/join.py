"""Join: seeds -> authenticated contacts -> bootstrap -> routing table.

A seed is dialled by TCP first: that proves its key, tells a wrong network apart from silence,
and only then is UDP used towards it.  Peers saved by an earlier run serve as seeds too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from dhtstore.errors import DhtstoreError, RefusedByNetwork, Unreachable
from dhtstore.model.contact import Address, Contact, split_host_port
from dhtstore.model.identity import PublicKey
from dhtstore.node.context import Disk, Ledger, Reach
from dhtstore.node.flows.meet import LearnSeed, Meetings
from dhtstore.node.identity import Identity
from dhtstore.tasks import run_all
from dhtstore.wire.ticket import Ticket, looks_like_ticket

SEEDS_AT_ONCE: Final = 8
_SILENT: Final = "it answers over TCP and not over UDP: does something on the way keep UDP back?"


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
    disk: Disk,
    ledger: Ledger,
    identity: Identity,
    local: Address,
    reach: Reach,
    seeds: Sequence[str],
    trust: Trust,
) -> Joined:
    """Enter the network through tickets or HOST:PORT seeds and the peers saved before; ``local`` is
    where this node listens.

    With neither, this node starts a network.  One seed's failure is its own, whatever it says.
    Raises InvalidTicket, UsageError, and when seeds were given and nobody answered, not even a
    peer saved before, RefusedByNetwork if every seed is of another network or shows another key
    than known, else Unreachable.
    """
    for seed in seeds:
        _check_form(seed)
    meetings = Meetings(identity, local, reach.links, trust.known, trust.learn)
    dials = [partial(_meet, meetings, seed) for seed in seeds]
    met = dict(zip(seeds, await run_all(dials, limit=SEEDS_AT_ONCE), strict=True))
    saved = await disk.blocking.run(ledger.peers.load)
    contacts = [each for each in met.values() if isinstance(each, Contact)] + saved
    answered = await reach.dht.bootstrap(contacts) if contacts else 0
    failures = {seed: each for seed, each in met.items() if isinstance(each, Exception)}
    reasons = {_short(seed): str(error) for seed, error in failures.items()}
    if seeds and not answered:
        reasons = {_short(seed): _SILENT for seed in met} | reasons
        refused = [each for each in failures.values() if isinstance(each, RefusedByNetwork)]
        if len(refused) < len(met):
            refused = []
        raise _nobody_answered(reasons, refused)
    return Joined(answered, reasons)


def _check_form(seed: str) -> None:
    """A seed that was mistyped stops the start, whatever the others say."""
    if looks_like_ticket(seed):
        Ticket.parse(seed)
    else:
        split_host_port(seed)


async def _meet(meetings: Meetings, seed: str) -> Contact | Exception:
    """The seed once its key is proved over TCP, or why that cannot be done."""
    try:
        return await meetings.meet(seed)
    except (DhtstoreError, OSError) as error:
        return error


def _nobody_answered(
    reasons: Mapping[str, str], refused: Sequence[RefusedByNetwork]
) -> DhtstoreError:
    """``refused`` are all, or none."""
    told = "; ".join(f"{seed}: {why}" for seed, why in reasons.items())
    if refused:
        error, hints = RefusedByNetwork(f"refused by every seed: {told}"), {e.hint for e in refused}
        return error.hinted(hints.pop()) if len(hints) == 1 else error
    return Unreachable(f"none of the seeds answered: {told}").hinted(
        "check the seeds (on their side `dhtstore id` says where), this machine's connection, and"
        " firewalls: both TCP and UDP must pass"
    )


def _short(seed: str) -> str:
    """Tickets differ at their end; their beginning may be the same in all of a network."""
    return seed if len(seed) < 40 else f"{seed[:12]}...{seed[-12:]}"
