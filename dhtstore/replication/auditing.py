"""Audits between holders of a unit: which blocks are looked at, how many, when.  Pure.

The sample is the blocks whose hash with the nonce is lowest, whatever the order in which a DAG is
walked.  The answer is a hash over the whole blocks and over who asks whom, so that nobody can
answer with what another holder said, nor from a digest that was kept in place of the blocks.
docs/replication.md has the formula of what is found, and what an audit cannot show.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Iterable
from typing import Final

from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import (
    AUDIT_RATE_MIN_BYTES_PER_S,
    AUDIT_RTTS,
    AUDIT_SAMPLES_MAX,
    AUDIT_SHARE_PER_DAY,
    AUDIT_WAIT_S,
    BLOCK_SIZE_MAX_BYTES,
    DAY_S,
)

_DOMAIN: Final = b"dhtstore/audit/1\0"
_SAMPLE_DOMAIN: Final = b"dhtstore/audit-sample/1\0"


def sample(nonce: bytes, name: bytes, multihashes: Iterable[bytes], count: int) -> list[bytes]:
    """The ``count`` blocks of the unit ``name`` that are to be hashed, in their order; all, if it
    has fewer."""
    seed = hashlib.sha256(_SAMPLE_DOMAIN + nonce + name)

    def place(multihash: bytes) -> bytes:
        digest = seed.copy()
        digest.update(multihash)
        return digest.digest()

    distinct = dict.fromkeys(multihashes)
    return heapq.nsmallest(count, distinct, key=place)


class Answer:
    """The hash that proves a copy: ``take`` the sampled blocks in their order."""

    def __init__(
        self, network: Network, nonce: bytes, auditor: PublicKey, holder: PublicKey, name: bytes
    ) -> None:
        self._digest = hashlib.sha256(_DOMAIN + network.binding + nonce + auditor + holder)
        self._digest.update(len(name).to_bytes(2, "big") + name)

    def take(self, multihash: bytes, block: bytes) -> None:
        self._digest.update(len(multihash).to_bytes(2, "big") + multihash)
        self._digest.update(len(block).to_bytes(4, "big") + block)

    @property
    def proof(self) -> bytes:
        return self._digest.digest()


def samples(blocks: int, target: int, every_s: float, rng: random.Random) -> int:
    """How many blocks one auditor looks at, so that all of a unit's holders together look at
    AUDIT_SHARE_PER_DAY of each other's.  Of small units none, mostly: then the audit only asks
    whether the copy is there."""
    due = blocks * AUDIT_SHARE_PER_DAY * (every_s / DAY_S) / max(1, target - 1)
    return min(int(due) + (rng.random() < due % 1), AUDIT_SAMPLES_MAX)


def slot_unix_s(one: bytes, other: bytes, every_s: float, now_unix_s: float) -> float:
    """When these two were to audit each other last: all units that they share at once, both at
    the same time, over one connection."""
    low, high = sorted((one, other))
    part = int.from_bytes(hashlib.sha256(low + high).digest()[:4], "big") / 2**32
    phase_s = part * every_s
    return (now_unix_s - phase_s) // every_s * every_s + phase_s


def deadline_s(rtt_s: float, blocks: int) -> float:
    """By when an answer that takes so many blocks has to be there: a slow disk does it, fetching
    them from elsewhere over an ordinary line does not."""
    return (
        AUDIT_WAIT_S
        + AUDIT_RTTS * rtt_s
        + blocks * BLOCK_SIZE_MAX_BYTES / (AUDIT_RATE_MIN_BYTES_PER_S)
    )


def undetected(blocks: int, rotten: int, sampled: int, audits: int) -> float:
    """The probability that ``audits`` audits of ``sampled`` blocks each meet none of ``rotten`` of
    ``blocks``: each draws without putting back, and they are independent."""
    missed = 1.0
    for taken in range(min(sampled, blocks)):
        missed *= max(0.0, 1 - rotten / (blocks - taken))
    return missed**audits
