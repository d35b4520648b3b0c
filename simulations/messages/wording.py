"""What requests are about and what answers say, in a few words each.

Bytes come from nodes under attack, too: what does not decode is told as that.
"""

from __future__ import annotations

from collections.abc import Callable

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import unpack
from dhtstore.wire import datagram, frames

_HOLDS = {Verdict.KEPT.value, Verdict.HELD_NEWER.value}
_WORDS_MAX_CHARS = 160


def asked(request: datagram.Request | datagram.UnknownProcedure) -> str:
    """What a datagram's request is about, in hex: a key, or the id of a node."""
    match request:
        case datagram.FindNode():
            return request.target.hex()
        case datagram.GetProviders() | datagram.FindPolicy():
            return request.key.hex()
        case datagram.FindContact():
            return request.node.hex()
        case datagram.AddProvider():
            return _unpacked(lambda: unpack(ProviderRecord, request.record).key.hex())
        case datagram.AddProviders():
            return _unpacked(
                lambda: " ".join(unpack(ProviderRecord, each).key.hex() for each in request.records)
            )
        case datagram.StorePolicy():
            return _unpacked(lambda: unpack(Policy, request.policy).key.hex())
        case datagram.StoreContact():
            return _unpacked(lambda: _id_of(unpack(ContactRecord, request.contact).public_key))
    return ""


def answered(answer: datagram.Response) -> tuple[str, str]:
    """(what was answered, why it is not what was asked for)."""
    match answer:
        case datagram.FoundNodes():
            return f"{_contacts(answer.contacts)} contacts", ""
        case datagram.Providers():
            return f"{answer.total} providers, {_contacts(answer.contacts)} contacts", ""
        case datagram.FoundContact():
            found = "the record" if answer.contact is not None else "no record"
            return f"{found}, {_contacts(answer.contacts)} contacts", ""
        case datagram.FoundPolicy():
            found = "the policy" if answer.policy is not None else "no policy"
            return f"{found}, {_contacts(answer.contacts)} contacts", ""
        case datagram.Stored():
            return answer.verdict, "" if answer.verdict in _HOLDS else f"not kept: {answer.verdict}"
        case datagram.StoredEach():
            refused = sorted({each for each in answer.verdicts if each not in _HOLDS})
            return ", ".join(answer.verdicts), f"not kept: {', '.join(refused)}" if refused else ""
        case datagram.Unserved():
            return "unserved", f"unserved: {answer.code}"
    return "pong", ""


def requested(request: frames.FrameRequest) -> str:
    """What a request over a stream is about: CIDs, the key of a unit in hex, or a reservation."""
    match request:
        case frames.GetBlocks():
            return _cids(request.cids)
        case frames.Offer():
            return request.key.hex()
        case frames.Replicate():
            return _cids(request.roots)
        case frames.Rule():
            return _unpacked(lambda: unpack(Policy, request.policy).key.hex())
        case frames.Check():
            return _cids((request.unit,))
        case frames.Reroute() | frames.Release():
            return f"reservation {request.reservation}"
    return ""


def responded(response: frames.FrameResponse) -> tuple[str, str]:
    """As ``answered``; blocks are counted by who sees all of them."""
    match response:
        case frames.Declined():
            return "declined", f"declined: {response.code} ({response.reason})"[:_WORDS_MAX_CHARS]
        case frames.Checked():
            failure = "" if response.whole else f"not whole: {response.why}"
            return "whole" if response.whole else "not whole", failure[:_WORDS_MAX_CHARS]
        case frames.Accepted():
            return f"reservation {response.reservation}", ""
    return type(response).__name__.lower(), ""


def _cids(raw: tuple[bytes, ...]) -> str:
    more = f" and {len(raw) - 1} more" if len(raw) > 1 else ""
    return _unpacked(lambda: str(Cid.decode(raw[0]))) + more


def _id_of(public_key: bytes) -> str:
    return node_id(PublicKey(public_key)).hex()


def _contacts(packed: bytes) -> int:
    return len(packed) // datagram.CONTACT_V4_BYTES


def _unpacked(read: Callable[[], str]) -> str:
    try:
        return read()
    except DhtstoreError as error:
        return f"({error})"[:_WORDS_MAX_CHARS]
