"""Who may use this disk: a pure answer to an offer.  A refusal says why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dhtstore.model.identity import PublicKey
from dhtstore.model.policy import Policy
from dhtstore.params import REPLICAS_MAX, UNIT_SIZE_MAX_BYTES, UNIT_SLACK_BYTES


class Accept(StrEnum):
    """The ``--accept`` rule."""

    MINE = "mine"  # only what my own owner key claims
    OWNERS = "owners"  # only the owners on a list
    NETWORK = "network"  # every owner of this network, up to the whole capacity
    ANYONE = "anyone"  # every owner, each up to its quota


@dataclass(frozen=True, slots=True)
class Admission:
    """The rule of one node.  ``owner_quota_bytes`` bounds each foreign owner under ANYONE."""

    accept: Accept
    own_owner: PublicKey
    owners: frozenset[bytes]
    owner_quota_bytes: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offer is declined: ``code`` for programs, ``reason`` for people."""

    code: str
    reason: str


def judge(
    rule: Admission,
    policy: Policy,
    size_bytes: int,
    owner_used_bytes: int,
    *,
    now_unix_s: float,
    newest: Policy | None,
) -> Refusal | None:
    """None to accept.  ``newest`` is the newest policy known of that (owner, root), if any;
    ``owner_used_bytes`` what that owner's claims hold here already."""
    if not 0 <= size_bytes <= UNIT_SIZE_MAX_BYTES + UNIT_SLACK_BYTES:
        return Refusal("size", f"a unit of {size_bytes} bytes is larger than units may be")
    if not 0 < policy.replicas <= REPLICAS_MAX:
        return Refusal("policy", f"{policy.replicas} replicas is outside 1 to {REPLICAS_MAX}")
    if not policy.active(now_unix_s) or (newest and policy.sequence < newest.sequence):
        return Refusal("policy", "the policy is removed, expired or older than one known here")
    return _judge_owner(rule, PublicKey(policy.owner), size_bytes + owner_used_bytes)


def _judge_owner(rule: Admission, owner: PublicKey, total_bytes: int) -> Refusal | None:
    if owner == rule.own_owner or rule.accept is Accept.NETWORK:
        return None
    if rule.accept is Accept.MINE:
        return Refusal("owner", "this node holds only its own owner's data")
    if rule.accept is Accept.OWNERS:
        if owner in rule.owners:
            return None
        return Refusal("owner", "this owner is not on this node's list")
    if total_bytes > rule.owner_quota_bytes:
        quota = rule.owner_quota_bytes
        return Refusal("quota", f"this owner's quota of {quota} bytes here would be exceeded")
    return None
