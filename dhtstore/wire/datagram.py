"""What datagrams say: requests and answers in rpcudp's framing, msgpack inside, typed.

A frame is type (1 byte) ‖ message id (20 bytes) ‖ payload.  A request is an array whose first
item is the name of the procedure, as in rpcudp; its other items have fixed types and sizes.  An
answer is an array too, or a map if it refuses.  What a later version adds is passed over.
Contacts travel packed: key 32 ‖ flags 1 ‖ address 4 or 16 ‖ port 2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Final, get_args

import msgspec

from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import Address, Contact, routable
from dhtstore.model.identity import PublicKey
from dhtstore.params import (
    NODE_ID_BYTES,
    PROCEDURE_NAME_MAX_CHARS,
    PROVIDERS_PER_DATAGRAM_MAX,
    PROVIDERS_PER_KEY_MAX,
    PUBLIC_KEY_BYTES,
    REFUSAL_CODE_MAX_CHARS,
)
from dhtstore.wire.envelope import COOKIE_BYTES, FRAME_MAX_BYTES, MESSAGE_ID_BYTES
from dhtstore.wire.packed import PackedContact, PackedPolicy, PackedProvider

REQUEST: Final = 0  # rpcudp/protocol.py
RESPONSE: Final = 1  # rpcudp/protocol.py
FRAME_OVERHEAD_BYTES: Final = 1 + MESSAGE_ID_BYTES
PAYLOAD_MAX_BYTES: Final = FRAME_MAX_BYTES - FRAME_OVERHEAD_BYTES
CONTACT_V4_BYTES: Final = PUBLIC_KEY_BYTES + 1 + 4 + 2
CONTACT_V6_BYTES: Final = PUBLIC_KEY_BYTES + 1 + 16 + 2
# As many as fit, not only K: some of those named are dead, and a lookup needs K that are not.
CONTACTS_PER_ANSWER_MAX: Final = PAYLOAD_MAX_BYTES // CONTACT_V4_BYTES
PACKED_HEAD_BYTES: Final = 3  # msgpack, before a signed object
PROVED_MAX_S: Final = 2**16 - 1  # more is told as that
SILENT_BYTES: Final = 4  # of a key: two of 64 share them once in two million
SILENT_TOLD_MAX: Final = 16  # in an answer
WITHDRAWALS_TOLD_MAX: Final = 4  # in an answer, behind who provides
_STORAGE_BIT: Final = 1
_ADD_PROVIDERS_HEAD_BYTES: Final = 1 + 14 + 1 + PACKED_HEAD_BYTES  # name, records, contact

Id = Annotated[bytes, msgspec.Meta(min_length=NODE_ID_BYTES, max_length=NODE_ID_BYTES)]
Contacts = Annotated[bytes, msgspec.Meta(max_length=CONTACTS_PER_ANSWER_MAX * CONTACT_V4_BYTES)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=PROVIDERS_PER_KEY_MAX)]


class Ping(msgspec.Struct, array_like=True, tag="ping", gc=False):
    """Are you there?"""


class FindNode(msgspec.Struct, array_like=True, tag="find_node", gc=False):
    """Which nodes that you know are closest to ``target``?"""

    target: Id


class AddProvider(msgspec.Struct, array_like=True, tag="add_provider", gc=False):
    """Keep this provider record, and with it how to reach the provider."""

    record: PackedProvider
    contact: PackedContact


class AddProviders(msgspec.Struct, array_like=True, tag="add_providers", gc=False):
    """Keep these provider records of one provider, and with them how to reach it."""

    records: Annotated[
        list[PackedProvider], msgspec.Meta(min_length=1, max_length=PROVIDERS_PER_DATAGRAM_MAX)
    ]
    contact: PackedContact


class GetProviders(msgspec.Struct, array_like=True, tag="get_providers", gc=False):
    """Who provides ``key``, from the ``offset``-th provider on?  ``silent`` asks for those that
    answer no more, too, after the others."""

    key: Id
    offset: Offset
    silent: bool = False


class StoreContact(msgspec.Struct, array_like=True, tag="store_contact", gc=False):
    """Keep this contact record."""

    contact: PackedContact


class FindContact(msgspec.Struct, array_like=True, tag="find_contact", gc=False):
    """What is the contact record of ``node``?"""

    node: Id


class StorePolicy(msgspec.Struct, array_like=True, tag="store_policy", gc=False):
    """Keep this policy, whoever brings it."""

    policy: PackedPolicy


class FindPolicy(msgspec.Struct, array_like=True, tag="find_policy", gc=False):
    """What is the policy behind ``key``?"""

    key: Id


class UnknownProcedure(msgspec.Struct, gc=False):
    """A request of a later version, by the name of its procedure; it is owed ``UNSUPPORTED``."""

    procedure: str


Request = (
    Ping | FindNode | AddProvider | AddProviders | GetProviders | StoreContact | FindContact
    | StorePolicy | FindPolicy
)  # fmt: skip


class Pong(msgspec.Struct, array_like=True, gc=False):
    """``observed`` is the asker's address as it arrived here: address ‖ port; ``unix_s`` what
    the clock shows here, 0 from one that does not tell."""

    observed: Annotated[bytes, msgspec.Meta(max_length=18)]
    unix_s: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


class FoundNodes(msgspec.Struct, array_like=True, gc=False):
    """Packed contacts, closest to the target first."""

    contacts: Contacts


class Stored(msgspec.Struct, array_like=True, gc=False):
    """Whether the record is kept; if not, why (see dht.core.record_stores.Verdict)."""

    verdict: Annotated[str, msgspec.Meta(max_length=REFUSAL_CODE_MAX_CHARS)]


class StoredEach(msgspec.Struct, array_like=True, gc=False):
    """As ``Stored``, of each of several records in their order."""

    verdicts: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=REFUSAL_CODE_MAX_CHARS)]],
        msgspec.Meta(max_length=PROVIDERS_PER_DATAGRAM_MAX),
    ]


class Provided(msgspec.Struct, array_like=True, gc=False):
    """A provider's record, and how to reach it if that is known; ``proved_s`` is how many seconds
    before this answer it last proved that it lives, None where it never did, or untold."""

    record: PackedProvider
    contact: PackedContact | None = None
    proved_s: Annotated[int, msgspec.Meta(ge=0, le=PROVED_MAX_S)] | None = None


class Providers(msgspec.Struct, array_like=True):
    """One page of ``total`` providers, and the closest contacts as in FoundNodes; ``silent`` are
    the first bytes of the keys of those whose records are kept and who answer no more."""

    total: Annotated[int, msgspec.Meta(ge=0, le=PROVIDERS_PER_KEY_MAX)]
    providers: Annotated[list[Provided], msgspec.Meta(max_length=PROVIDERS_PER_KEY_MAX)]
    contacts: Contacts
    silent: Annotated[bytes, msgspec.Meta(max_length=SILENT_TOLD_MAX * SILENT_BYTES)] = b""


class FoundContact(msgspec.Struct, array_like=True):
    """The record asked for, or None; and the closest contacts as in FoundNodes."""

    contact: PackedContact | None
    contacts: Contacts


class FoundPolicy(msgspec.Struct, array_like=True):
    """The policy asked for, or None; and the closest contacts as in FoundNodes."""

    policy: PackedPolicy | None
    contacts: Contacts


class Unserved(msgspec.Struct, gc=False):
    """The request is not served, and why; a map, so that it passes for no other answer.

    It says nothing against the peer, which lives and answers.
    """

    code: Annotated[str, msgspec.Meta(max_length=REFUSAL_CODE_MAX_CHARS)]


UNSUPPORTED: Final = Unserved("unsupported")

Response = (
    Pong | FoundNodes | Stored | StoredEach | Providers | FoundContact | FoundPolicy | Unserved
)  # fmt: skip


class _Named(msgspec.Struct, array_like=True, gc=False):
    procedure: Annotated[str, msgspec.Meta(max_length=PROCEDURE_NAME_MAX_CHARS)]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_request: Final[Callable[[bytes], Request]] = msgspec.msgpack.Decoder(Request).decode
_procedure: Final = msgspec.msgpack.Decoder(_Named)
_PROCEDURES: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Request))
ANSWER_TO: Final[dict[type[Request], type[Response]]] = {
    Ping: Pong,
    FindNode: FoundNodes,
    AddProvider: Stored,
    AddProviders: StoredEach,
    GetProviders: Providers,
    StoreContact: Stored,
    FindContact: FoundContact,
    StorePolicy: Stored,
    FindPolicy: FoundPolicy,
}
_decode_response: Final = {
    request: msgspec.msgpack.Decoder(answer).decode for request, answer in ANSWER_TO.items()
}
_decode_unserved: Final = msgspec.msgpack.Decoder(Unserved).decode
_REQUEST_TYPE: Final = bytes((REQUEST,))
_RESPONSE_TYPE: Final = bytes((RESPONSE,))


def encode_request(message_id: bytes, request: Request) -> bytes:
    return _REQUEST_TYPE + message_id + _encode(request)


def records_that_fit(record_bytes: int, contact_bytes: int) -> int:
    """How many provider records of that size one ``AddProviders`` carries beside a contact record,
    also where a cookie has to be shown; at least 1, which fits ``AddProvider``."""
    room = PAYLOAD_MAX_BYTES - COOKIE_BYTES - _ADD_PROVIDERS_HEAD_BYTES
    fitting = (room - contact_bytes) // (PACKED_HEAD_BYTES + record_bytes)
    return max(1, min(fitting, PROVIDERS_PER_DATAGRAM_MAX))


def encode_response(message_id: bytes, response: Response) -> bytes:
    return _RESPONSE_TYPE + message_id + _encode(response)


def decode_request(payload: bytes) -> Request | UnknownProcedure:
    """Raises RemoteProtocolError."""
    try:
        return _decode_request(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        unknown = _unknown_request(payload)
        if unknown is None:
            raise RemoteProtocolError(f"a request that does not decode: {error}") from error
        return unknown


def _unknown_request(payload: bytes) -> UnknownProcedure | None:
    """None if the request is malformed, or one that we do know."""
    try:
        procedure = _procedure.decode(payload).procedure
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return None if procedure in _PROCEDURES else UnknownProcedure(procedure)


def decode_response(request: Request, payload: bytes) -> Response:
    """The answer to ``request``; raises RemoteProtocolError."""
    try:
        return _decode_response[type(request)](payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        unserved = _refusal(payload)
        if unserved is None:
            raise RemoteProtocolError(f"an answer that does not decode: {error}") from error
        return unserved


def _refusal(payload: bytes) -> Unserved | None:
    try:
        return _decode_unserved(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


@lru_cache(maxsize=16_384)
def pack_address(address: Address) -> bytes:
    """Address 4 or 16 ‖ port 2."""
    return ipaddress.ip_address(address.host).packed + address.port.to_bytes(2, "big")


def unpack_address(packed: bytes) -> Address:
    """Raises RemoteProtocolError unless it is an address a datagram may be sent to."""
    if len(packed) not in (6, 18):
        raise RemoteProtocolError("an address of neither family")
    host = str(ipaddress.ip_address(packed[:-2]))
    address = Address(host, int.from_bytes(packed[-2:], "big"))
    if not routable(address):
        raise RemoteProtocolError(f"an address nobody can be reached at: {address}")
    return address


def pack_contact(contact: Contact) -> bytes:
    flags = _STORAGE_BIT if contact.storage else 0
    return contact.public_key + bytes((flags,)) + pack_address(contact.address)


def unpack_contact(packed: bytes) -> Contact:
    """Raises RemoteProtocolError."""
    address = unpack_address(packed[PUBLIC_KEY_BYTES + 1 :])
    storage = bool(packed[PUBLIC_KEY_BYTES] & _STORAGE_BIT)
    return Contact.of(PublicKey(packed[:PUBLIC_KEY_BYTES]), address, storage=storage)


def split_contacts(contacts: bytes, *, ipv6: bool) -> list[bytes]:
    """The packed contacts of an answer that came over IPv4 or IPv6.

    Raises RemoteProtocolError if they are too many or not whole.
    """
    size = CONTACT_V6_BYTES if ipv6 else CONTACT_V4_BYTES
    if len(contacts) % size or len(contacts) > CONTACTS_PER_ANSWER_MAX * size:
        raise RemoteProtocolError("packed contacts of a wrong length")
    return [contacts[at : at + size] for at in range(0, len(contacts), size)]
