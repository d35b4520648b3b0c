"""Who may use this disk, and how much of it: a pure answer to an offer.  A refusal says why.

Keys cost nothing, so a quota for each owner bounds nobody.  Where anyone may store (ANYONE), what
bounds strangers is what costs them something: addresses, since one origin has a share, and time,
since all owners that are new here have one together.  Where the operator has said whose data is
taken (OWNERS, NETWORK), there are no shares.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dhtstore.config import format_size
from dhtstore.model.contact import Address, subnet
from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy, Usage
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    CLAIMS_PER_UNIT_MAX,
    FOREIGN_UNITS_MAX,
    IDENTITY_DIGEST_MAX_BYTES,
    NEWCOMERS_DIVISOR,
    ORIGIN_COUNTS_DIVISOR,
    ORIGIN_DIVISOR,
    OWN_ROOM_DIVISOR,
    OWNERS_MAX,
    REPLICAS_MAX,
    STORED_BLOCK_BYTES,
    UNIT_STORED_MAX_BYTES,
)

_BLOCK_STORED_MAX_BYTES = BLOCK_SIZE_MAX_BYTES + STORED_BLOCK_BYTES + 2 * IDENTITY_DIGEST_MAX_BYTES


class Accept(StrEnum):
    """The ``--accept`` rule."""

    MINE = "mine"  # only what my own owner key claims
    OWNERS = "owners"  # only the owners on a list
    NETWORK = "network"  # every owner of this network, up to the whole capacity
    ANYONE = "anyone"  # every owner, within shares


@dataclass(frozen=True, slots=True)
class Admission:
    """The rule of one node.  Under ANYONE ``owner_quota_bytes`` bounds each foreign owner, and
    shares are parts of ``capacity_bytes``.  ``donated_bytes`` of that no put gets, but what others
    bring under its owner's grant, since it is short of copies."""

    accept: Accept
    own_owner: PublicKey
    owners: frozenset[bytes]
    owner_quota_bytes: int
    capacity_bytes: int
    donated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What somebody wants to store here: a unit of ``blocks`` blocks that takes ``stored_bytes``,
    and ``row_bytes`` of the ledger.  ``at_home`` is whether ``origin`` is our own site.  The policy
    is None while only an offer is known.  ``granted`` is whether others bring it."""

    owner: PublicKey
    origin: str
    stored_bytes: int
    blocks: int
    row_bytes: int
    at_home: bool = False
    policy: Policy | None = None
    granted: bool = False

    @property
    def charged_bytes(self) -> int:
        return self.stored_bytes + self.row_bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offer is declined: ``code`` for programs, ``reason`` for people."""

    code: str
    reason: str


def judge(
    rule: Admission,
    asked: Demand,
    usage: Usage,
    *,
    now_unix_s: float,
    newest: Policy | None = None,
) -> Refusal | None:
    """None to accept.  ``usage`` is what is kept and promised here without what is asked;
    ``newest`` the newest policy known of that (owner, root), if any."""
    return (
        _judge_size(asked)
        or _judge_policy(asked, now_unix_s, newest)
        or _judge_owner(rule, asked, usage)
    )


def _judge_size(asked: Demand) -> Refusal | None:
    stored_bytes, blocks = asked.stored_bytes, asked.blocks
    if not 0 < stored_bytes <= UNIT_STORED_MAX_BYTES:
        return Refusal("size", f"no unit takes {format_size(stored_bytes)} on disk")
    least_bytes, most_bytes = blocks * STORED_BLOCK_BYTES, blocks * _BLOCK_STORED_MAX_BYTES
    if not 0 < least_bytes <= stored_bytes <= most_bytes:
        return Refusal("size", f"{blocks} blocks do not take {format_size(stored_bytes)} on disk")
    return None


def _judge_policy(asked: Demand, now_unix_s: float, newest: Policy | None) -> Refusal | None:
    policy = asked.policy
    if policy is None:
        return None
    if policy.owner != asked.owner:
        return Refusal("policy", "the policy is another owner's than the offer")
    if not 0 < policy.replicas <= REPLICAS_MAX:
        return Refusal("policy", f"{policy.replicas} replicas is outside 1 to {REPLICAS_MAX}")
    if policy.removed or (newest and policy.precedence < newest.precedence):
        return Refusal("policy", "its owner has signed a newer policy since, or ended it")
    if not policy.active(now_unix_s):
        return Refusal("policy", "by the clock here it has expired already")
    return None


def _judge_owner(rule: Admission, asked: Demand, usage: Usage) -> Refusal | None:
    if asked.owner == rule.own_owner:
        return None
    if rule.accept is Accept.MINE:
        return Refusal("owner", "this node holds only its own owner's data")
    if rule.accept is Accept.OWNERS and asked.owner not in rule.owners:
        return Refusal("owner", "this owner is not on this node's list")
    if usage.roots >= CLAIMS_PER_UNIT_MAX:
        return Refusal("claims", "this owner claims this unit for too many roots")
    if usage.units >= FOREIGN_UNITS_MAX:
        return Refusal("units", "too many units are kept here")
    if rule.accept is not Accept.ANYONE:
        return _judge_room(rule, asked, usage)
    return (
        _judge_shares(rule, asked, usage)
        or _judge_units(asked, usage)
        or _judge_newcomer(rule, asked, usage)
        or _judge_room(rule, asked, usage)
    )


def room_for_others_bytes(rule: Admission, *, granted: bool = False) -> int:
    """Of the capacity; where anyone may store, a part is left to the node's own owner.  Only what
    is brought under a grant gets what is donated, too."""
    open_to_all = rule.accept is Accept.ANYONE
    own_bytes = rule.capacity_bytes // OWN_ROOM_DIVISOR if open_to_all else 0
    donated_bytes = 0 if granted else rule.donated_bytes
    return max(0, rule.capacity_bytes - own_bytes - donated_bytes)


def _judge_shares(rule: Admission, asked: Demand, usage: Usage) -> Refusal | None:
    """Of this owner and of its origin."""
    more_bytes, capacity_bytes = asked.charged_bytes, rule.capacity_bytes
    if usage.owner_bytes + more_bytes > rule.owner_quota_bytes:
        quota = format_size(rule.owner_quota_bytes)
        return Refusal("quota", f"this owner's quota of {quota} here would be exceeded")
    if not asked.at_home and (usage.origin_bytes + more_bytes) * ORIGIN_DIVISOR > capacity_bytes:
        return Refusal("origin", "the share of the network this comes from is used up here")
    return None


def _judge_units(asked: Demand, usage: Usage) -> Refusal | None:
    """A unit of a few bytes is announced as long, and as often, as any other."""
    if not asked.at_home and usage.origin_units >= FOREIGN_UNITS_MAX // ORIGIN_COUNTS_DIVISOR:
        return Refusal("units", "too many units from the network this comes from are kept here")
    if usage.new and usage.newcomers_units >= FOREIGN_UNITS_MAX // NEWCOMERS_DIVISOR:
        return Refusal("units", "too many units of owners that are new here are kept here")
    return None


def _judge_room(rule: Admission, asked: Demand, usage: Usage) -> Refusal | None:
    """The store sees to its blocks; rows of the ledger lie outside of it, and count here."""
    total_bytes = usage.used_bytes + asked.charged_bytes
    open_bytes = room_for_others_bytes(rule, granted=asked.granted)
    if total_bytes <= open_bytes:
        return None
    own = open_bytes < rule.capacity_bytes
    left = "is for this node's own owner" if own else "does not suffice"
    if rule.donated_bytes and not asked.granted:
        left = "is for what is short of copies, and for this node's own owner"
    told = f"no room for {format_size(asked.charged_bytes)}"
    used, capacity = format_size(usage.used_bytes), format_size(rule.capacity_bytes)
    return Refusal("room", f"{told}: {used} of {capacity} are used, and what is left here {left}")


def _judge_newcomer(rule: Admission, asked: Demand, usage: Usage) -> Refusal | None:
    if not usage.new:
        return None
    total_bytes = usage.newcomers_bytes + asked.charged_bytes
    if total_bytes * NEWCOMERS_DIVISOR > rule.capacity_bytes:
        return Refusal("newcomer", "the share of owners that are new here is used up")
    if usage.known:
        return None
    crowded = not asked.at_home and usage.origin_newcomers >= OWNERS_MAX // ORIGIN_COUNTS_DIVISOR
    if crowded or usage.newcomers >= OWNERS_MAX // NEWCOMERS_DIVISOR or usage.owners >= OWNERS_MAX:
        return Refusal("newcomer", "too many owners are new here")
    return None


def is_at_home(remote: Address, own: Iterable[Address]) -> bool:
    """Whether ``remote`` is of our own site, which has no share: a subnet that we have an address
    in, loopback, and private addresses where we have one.  Whoever shares our roof needs no disk
    to harm us (``dht/core/crowds.py`` holds the same)."""
    ip = ipaddress.ip_address(remote.host)
    if ip.is_loopback:
        return True
    addresses = tuple(own)
    here = subnet(remote) in {subnet(address) for address in addresses}
    return here or (ip.is_private and any(_is_private(each.host) for each in addresses))


def _is_private(host: str) -> bool:
    return ipaddress.ip_address(host).is_private
