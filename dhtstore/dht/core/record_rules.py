"""Which records may be kept, whoever signed them: their form and their time."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import (
    ADDRESSES_PER_TICKET_MAX,
    CLAIM_GRACE_S,
    CLAIM_LOOKS_APART_S,
    DOMAIN_LABEL_MAX_BYTES,
    IDENTITY_DIGEST_MAX_BYTES,
    NODE_ID_BYTES,
    POLICY_MAX_BYTES,
    PUBLIC_KEY_BYTES,
    RECORD_FUTURE_SKEW_MAX_S,
    REPLICAS_MAX,
    SIGNATURE_BYTES,
    TOMBSTONE_KEPT_S,
)

_IP_LITERAL_MAX_CHARS: Final = 45
_SEQUENCE_MAX: Final = 2**63


class Verdict(Enum):
    """What became of a record; the value travels in the answer."""

    KEPT = "kept"
    HELD_NEWER = "held newer"
    MALFORMED = "malformed"
    OUT_OF_TIME = "out of time"
    FULL = "full"
    BAD_SIGNATURE = "bad signature"
    NOT_HELD = "not held"  # of a withdrawal: there is nothing to take back


@dataclass(frozen=True, slots=True)
class Published:
    """What became of one record at the index nodes: how many hold it now, or a newer one of the
    same signer; and why others do not, verdict -> how many."""

    holders: int
    refusals: Mapping[str, int]

    @property
    def out_of_time(self) -> bool:
        """Whether its time is why nobody holds it."""
        return not self.holders and Verdict.OUT_OF_TIME.value in self.refusals

    @property
    def why_not(self) -> str:
        """What the index nodes said that do not hold it; "" if they said nothing."""
        return ", ".join(f"{verdict} ({count} nodes)" for verdict, count in self.refusals.items())


def lifetime_s(record: ProviderRecord | ContactRecord) -> int:
    """How long it wants to be kept."""
    return record.expires - record.issued


def in_time(record: ProviderRecord | ContactRecord, ttl_max_s: float, unix_s: float) -> bool:
    """Not issued far ahead of us, not expired, and not meant to outlive ``ttl_max_s``."""
    return lasts(record, ttl_max_s, unix_s) and not_ahead(record, unix_s)


def lasts(record: ProviderRecord | ContactRecord, ttl_max_s: float, unix_s: float) -> bool:
    """Not expired, and not meant to outlive ``ttl_max_s``."""
    return 0 < lifetime_s(record) <= ttl_max_s and record.expires > unix_s


def not_ahead(record: ProviderRecord | ContactRecord, unix_s: float) -> bool:
    """Whether it was not issued far ahead of us."""
    return record.issued <= unix_s + RECORD_FUTURE_SKEW_MAX_S


def is_withdrawal(record: ProviderRecord) -> bool:
    """Whether it says "no longer" of what its signer said before; its time does not end that."""
    return record.expires == record.issued


def _well_signed_form(record: ProviderRecord | ContactRecord) -> bool:
    sizes = len(record.public_key) == PUBLIC_KEY_BYTES and len(record.signature) == SIGNATURE_BYTES
    return sizes and 0 <= record.sequence < _SEQUENCE_MAX and record.issued >= 0


def provider_form(record: ProviderRecord) -> bool:
    """Whether all fields of a provider record are within their limits."""
    return _well_signed_form(record) and len(record.key) == NODE_ID_BYTES


def contact_form(record: ContactRecord) -> bool:
    """Whether all fields of a contact record are within their limits."""
    addresses = record.addresses
    if not _well_signed_form(record) or len(addresses) > ADDRESSES_PER_TICKET_MAX:
        return False
    if len(record.domain.encode(errors="replace")) > DOMAIN_LABEL_MAX_BYTES:
        return False
    if not 0 <= record.capacity_bytes < _SEQUENCE_MAX:
        return False
    return all(_ip_literal(host) and 0 < port < 65536 for host, port in addresses)


def policy_form(policy: Policy) -> bool:
    """Whether all fields of a policy are within their limits."""
    sizes = (
        len(policy.owner) == PUBLIC_KEY_BYTES
        and 4 <= len(policy.root) <= IDENTITY_DIGEST_MAX_BYTES + 8
    )
    sizes = sizes and SIGNATURE_BYTES < len(policy.packed) <= POLICY_MAX_BYTES
    counts = 0 < policy.replicas <= REPLICAS_MAX and 0 <= policy.expires < _SEQUENCE_MAX
    return sizes and counts and 0 <= policy.sequence < _SEQUENCE_MAX


def policy_current(policy: Policy, unix_s: float) -> bool:
    """Whether it says something by itself: claims may stand under it, or it is a removal that is
    not over."""
    if policy.removed:
        return not policy_over(policy, unix_s)
    return policy.active(unix_s - CLAIM_GRACE_S - CLAIM_LOOKS_APART_S)


def policy_over(policy: Policy, unix_s: float) -> bool:
    """Whether it ended so long ago that nobody needs to be told: it expired then, or was removed
    by its sequence, which is its owner's clock in milliseconds."""
    ended_unix_s = policy.sequence / 1000 if policy.removed else policy.expires
    return ended_unix_s > 0 and ended_unix_s + TOMBSTONE_KEPT_S <= unix_s


def _ip_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return len(host) <= _IP_LITERAL_MAX_CHARS
