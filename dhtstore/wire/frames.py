"""TCP frames: bytes <-> messages, and every limit on them.

A frame is u32 header length, u32 body length (big-endian), a msgpack header and a raw body.  The
header is an array: a tag, for requests and responses the request's number, and the fields; only
``Blocks`` has a body: the blocks' bytes one after the other.  What a later version puts behind
the fields is passed over.  The tag's range tells what an unknown frame is owed.
"""

from __future__ import annotations

import struct
from typing import Annotated, ClassVar, Final, get_args

import msgspec
from msgspec import Meta

from dhtstore.errors import LocalProtocolError, RemoteProtocolError
from dhtstore.model.features import Features
from dhtstore.params import (
    AUDIT_SAMPLES_MAX,
    AUDIT_UNITS_MAX,
    BLOCK_SIZE_MAX_BYTES,
    DAG_DEPTH_MAX,
    FRAME_BODY_MAX_BYTES,
    FRAME_HEADER_MAX_BYTES,
    IDENTITY_DIGEST_MAX_BYTES,
    NETWORK_PROOF_BYTES,
    NODE_ID_BYTES,
    NONCE_BYTES,
    PUBLIC_KEY_BYTES,
    REASON_MAX_CHARS,
    REFUSAL_CODE_MAX_CHARS,
    REPLICAS_MAX,
    RULE_UNITS_MAX,
    SIGNATURE_BYTES,
    UNIT_ROOTS_MAX,
    UPSTREAMS_MAX,
    WANTS_PER_REQUEST_MAX,
)
from dhtstore.wire.packed import (
    PackedContact,
    PackedGrant,
    PackedPolicy,
    PackedProvider,
    PackedReceipt,
)

PREFIX: Final = struct.Struct(">II")

# What a tag in each of these ranges is, now and later: it tells what an unknown frame is owed.
HANDSHAKE_TAGS: Final = range(0x01, 0x10)
REQUEST_TAGS: Final = range(0x10, 0x30)
RESPONSE_TAGS: Final = range(0x30, 0x50)
NOTICE_TAGS: Final = range(0x50, 0x70)

_CID_MAX_BYTES: Final = IDENTITY_DIGEST_MAX_BYTES + 8
_U63: Final = 2**63 - 1

Count = Annotated[int, Meta(ge=0, le=_U63)]
Version = Annotated[int, Meta(ge=0, le=255)]
CidBytes = Annotated[bytes, Meta(min_length=4, max_length=_CID_MAX_BYTES)]
Key = Annotated[bytes, Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)]
UnitName = Annotated[bytes, Meta(min_length=4, max_length=_CID_MAX_BYTES)]
UnitKey = Annotated[bytes, Meta(min_length=NODE_ID_BYTES, max_length=NODE_ID_BYTES)]
Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
Proof = Annotated[bytes, Meta(min_length=NETWORK_PROOF_BYTES, max_length=NETWORK_PROOF_BYTES)]
Upstream = Annotated[tuple[PackedContact, ...], Meta(max_length=UPSTREAMS_MAX)]
Downstream = Annotated[tuple[Key, ...], Meta(max_length=REPLICAS_MAX)]
Index = Annotated[int, Meta(ge=0, lt=WANTS_PER_REQUEST_MAX)]
BlockSize = Annotated[int, Meta(ge=0, le=BLOCK_SIZE_MAX_BYTES)]
AuditPlace = Annotated[int, Meta(ge=0, lt=AUDIT_UNITS_MAX)]
AuditProof = Annotated[bytes, Meta(max_length=32)]
Code = Annotated[str, Meta(max_length=REFUSAL_CODE_MAX_CHARS)]
Reason = Annotated[str, Meta(max_length=REASON_MAX_CHARS)]


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """What a frame's header says."""


class FrameRequest(Frame, frozen=True):
    """A frame that is owed an answer: one of ``answers``, or ``Declined``.

    The asker's session fills in ``request``.
    """

    answers: ClassVar[tuple[type[FrameResponse], ...]] = ()

    request: Count = 0


class FrameResponse(Frame, frozen=True):
    """Part of the answer to the peer's ``request``, which the answering session fills in.

    Nothing follows a ``final`` one; ``Blocks`` is the last when nothing is left to name.
    """

    final: ClassVar[bool] = True

    request: Count = 0


# --- handshake ------------------------------------------------------------------------------


class Hello(Frame, frozen=True, tag=0x01):
    """The acceptor's first word: the newest version it speaks and the oldest it still does."""

    version: Version
    oldest: Version
    nonce: Nonce
    features: Features = ()


class Auth(Frame, frozen=True, tag=0x02):
    """The dialler proves its key and its network: see node/links/handshake.py."""

    version: Version
    oldest: Version
    public_key: Key
    nonce: Nonce
    signature: Signature
    network_proof: Proof
    features: Features = ()


class Welcome(Frame, frozen=True, tag=0x03):
    """The dialler is who it says; the acceptor proves its network and says how it is reached."""

    network_proof: Proof
    record: PackedContact | None = None


class Refused(Frame, frozen=True, tag=0x04):
    """The acceptor closes the connection, and why."""

    code: Code
    reason: Reason


class Introduction(Frame, frozen=True, tag=0x05):
    """How the dialler is reached; after it, requests may flow both ways."""

    record: PackedContact | None = None


# --- blocks ---------------------------------------------------------------------------------


class Blocks(FrameResponse, frozen=True, kw_only=True, tag=0x30):
    """Some of the blocks asked for: body = the blocks at ``indices``, of ``sizes``, in order."""

    indices: Annotated[tuple[Index, ...], Meta(max_length=WANTS_PER_REQUEST_MAX)]
    sizes: Annotated[tuple[BlockSize, ...], Meta(max_length=WANTS_PER_REQUEST_MAX)]
    missing: Annotated[tuple[Index, ...], Meta(max_length=WANTS_PER_REQUEST_MAX)] = ()


class GetBlocks(FrameRequest, frozen=True, kw_only=True, tag=0x10):
    """Send these blocks; answered by ``Blocks`` until each index was sent or named missing."""

    answers = (Blocks,)

    cids: Annotated[tuple[CidBytes, ...], Meta(min_length=1, max_length=WANTS_PER_REQUEST_MAX)]


class GetComing(GetBlocks, frozen=True, kw_only=True, tag=0x15):
    """Send these blocks of the unit behind ``key``, which you are receiving, as soon as they are
    with you; answered as ``GetBlocks`` is, to who was named in ``Replicate`` or ``Reroute``."""

    key: UnitKey


# --- copies ---------------------------------------------------------------------------------


class Accepted(FrameResponse, frozen=True, kw_only=True, tag=0x31):
    """Room is set aside until ``expires_s`` seconds pass without progress."""

    reservation: Count
    expires_s: Annotated[float, Meta(gt=0, le=86400)]
    held: Count = 0  # stored bytes of the unit that are here already, as far as is known
    room: Count | None = None  # how much more it would take from others, if it tells


class Offer(FrameRequest, frozen=True, kw_only=True, tag=0x11):
    """Will you hold a unit?  Answered by ``Accepted``; no byte moves before.

    It tells no more than a holder must know to decide: whoever refuses learns not what it is, and
    of what its owner's own node offers not for which root.  Under a ``grant`` anybody may offer it;
    then ``word`` is the grant's signature, so that an older version declines it.
    """

    answers = (Accepted,)

    owner: Key
    key: UnitKey  # the unit's DHT key
    stored: Count  # bytes on disk, as model.block.stored_bytes counts them
    blocks: Count
    word: Signature  # of the owner: see model.policy.word_for
    grant: PackedGrant | None = None


class Replicating(FrameResponse, frozen=True, kw_only=True, tag=0x32):
    """Still at it: bytes of the unit verified so far, and how many of them came from others since
    it began, where that is told."""

    final = False

    held_bytes: Count
    came_bytes: Count | None = None


class Held(FrameResponse, frozen=True, kw_only=True, tag=0x33):
    """The unit is on disk: the holder's word, its provider record to publish, where it can be
    reached by now, and how many bytes of it came now, where that is told."""

    receipt: PackedReceipt
    provider: PackedProvider
    contact: PackedContact | None = None
    came_bytes: Count | None = None


class Replicate(FrameRequest, frozen=True, kw_only=True, tag=0x12):
    """Fetch the unit reserved as ``reservation`` from me.

    ``path`` are the blocks from the policy's root down to the one whose links are the unit's
    roots, which prove that it belongs to that root; empty where the root itself names the unit.
    ``upstream`` are others who receive it and may be asked before me, the nearest first;
    ``downstream`` are the keys of those who may be served what comes, before it is stored.
    ``grant`` is kept beside the claim, so that a holder can bring the unit to others.  Who is
    ``moving`` its copy wants it counted for nothing: it goes when this one is proved.
    """

    answers = (Replicating, Held)

    reservation: Count
    roots: Annotated[tuple[CidBytes, ...], Meta(min_length=1, max_length=UNIT_ROOTS_MAX)]
    spine: bool
    size: Count  # content bytes that links claim for the unit
    policy: PackedPolicy
    path: Annotated[tuple[CidBytes, ...], Meta(max_length=DAG_DEPTH_MAX + 1)] = ()
    upstream: Upstream = ()
    downstream: Downstream = ()
    grant: PackedGrant | None = None
    moving: bool = False


class Rerouted(FrameResponse, frozen=True, tag=0x38):
    """It is so from now on."""


class Reroute(FrameRequest, frozen=True, kw_only=True, tag=0x16):
    """What ``Replicate`` said of others is otherwise now; answered by ``Rerouted``, or declined
    where the unit is not being received any more.

    With ``both`` they are not asked first: I give as they do.
    """

    answers = (Rerouted,)

    reservation: Count
    upstream: Upstream = ()
    downstream: Downstream = ()
    both: bool = False


class Released(FrameResponse, frozen=True, tag=0x34):
    """The reservation is gone."""


class Release(FrameRequest, frozen=True, kw_only=True, tag=0x13):
    """Give up a reservation; answered by ``Released``, also when it is gone already."""

    answers = (Released,)

    reservation: Count


class Checked(FrameResponse, frozen=True, kw_only=True, tag=0x36):
    """Whether all blocks of the unit are here, by the index and the blocks above its leaves;
    ``why`` not, for people.  ``receipt`` is the holder's word to the owner that was named, where
    that has a claim on the unit here."""

    whole: bool
    why: Reason = ""
    receipt: PackedReceipt | None = None


class Check(FrameRequest, frozen=True, kw_only=True, tag=0x14):
    """Do you still hold a unit?  Answered by ``Checked``; no block moves for it.  With ``owner``
    and ``root``: and what do you sign for it to that owner, of whom you have it for that root?"""

    answers = (Checked,)

    unit: UnitName
    owner: Key | None = None
    root: CidBytes | None = None


class AuditItem(msgspec.Struct, frozen=True, array_like=True):
    """A unit that is asked about: the head of a spine and a subtree can have one name.  ``samples``
    whole blocks of it are hashed, all if it has fewer; 0 asks only whether it is there."""

    unit: UnitName
    spine: bool
    samples: Annotated[int, Meta(ge=0, le=AUDIT_SAMPLES_MAX)]


class Audited(FrameResponse, frozen=True, kw_only=True, tag=0x3A):
    """For each unit, in their order, the hash of ``replication/auditing.py``; b"" where it is not
    here whole.  ``stays`` are the places of those that are not dropped, however many copies there
    are: what a node's own user put there or pinned."""

    proofs: Annotated[tuple[AuditProof, ...], Meta(max_length=AUDIT_UNITS_MAX)]
    stays: Annotated[tuple[AuditPlace, ...], Meta(max_length=AUDIT_UNITS_MAX)] = ()


class Audit(FrameRequest, frozen=True, kw_only=True, tag=0x18):
    """Prove that you hold these units, by blocks that ``nonce`` chooses; answered by ``Audited``.
    No block moves for it: whoever asks holds them, too."""

    answers = (Audited,)

    nonce: Nonce
    units: Annotated[tuple[AuditItem, ...], Meta(min_length=1, max_length=AUDIT_UNITS_MAX)]


class Ruled(FrameResponse, frozen=True, kw_only=True, tag=0x3B):
    """``claims`` of that owner on the units named are under the policy now, or ended if it removes;
    ``others`` are those of other owners on these units.  ``newer`` is what counts here instead."""

    claims: Count = 0
    others: Count = 0
    newer: PackedPolicy | None = None


class Rule(FrameRequest, frozen=True, kw_only=True, tag=0x19):
    """This is what the owner wants for its root from now on, and ``units`` of it may be with you;
    answered by ``Ruled``."""

    answers = (Ruled,)

    policy: PackedPolicy
    units: Annotated[tuple[UnitName, ...], Meta(max_length=RULE_UNITS_MAX)] = ()


# --- any request ----------------------------------------------------------------------------


class Declined(FrameResponse, frozen=True, kw_only=True, tag=0x35):
    """The end of a request that is not fulfilled (further), and why."""

    code: Code
    reason: Reason


class Cancel(Frame, frozen=True, tag=0x50):
    """The asker no longer wants an answer; the request still ends, with ``Declined`` at the
    latest, so that both sides agree on what is in flight."""

    request: Count


class Wrong(Frame, frozen=True, tag=0x51):
    """What came for this CID was not its bytes: whoever sent it had better look at its disk."""

    cid: CidBytes


# --- of later versions ------------------------------------------------------------------------


class UnknownRequest(FrameRequest, frozen=True):
    """A request we do not know: it is owed a ``Declined``."""


class UnknownFrame(Frame, frozen=True):
    """Anything else we do not know: nothing is owed."""

    kind: Annotated[int, Meta(ge=0, le=255)]  # its tag


class _Numbered(msgspec.Struct, array_like=True):
    tag: int
    number: Count


KnownFrame = (
    Hello | Auth | Welcome | Refused | Introduction | GetBlocks | Blocks | Offer | Accepted
    | Replicate | Replicating | Held | Release | Released | Check | Checked | GetComing | Reroute
    | Rerouted | Audit | Audited | Rule | Ruled | Declined | Cancel | Wrong
)  # fmt: skip

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[KnownFrame]] = msgspec.msgpack.Decoder(KnownFrame)
_unknown: Final = msgspec.msgpack.Decoder(UnknownFrame)
_numbered: Final = msgspec.msgpack.Decoder(_Numbered)
_KNOWN_TAGS: Final = frozenset(kind.__struct_config__.tag for kind in get_args(KnownFrame))


def encode(frame: Frame, body_bytes: int = 0) -> bytes:
    """Prefix and header of a frame whose body has ``body_bytes``."""
    header = _encoder.encode(frame)
    if len(header) > FRAME_HEADER_MAX_BYTES or body_bytes > FRAME_BODY_MAX_BYTES:
        raise LocalProtocolError(f"a {type(frame).__name__} too large for a frame")
    return PREFIX.pack(len(header), body_bytes) + header


def decode_prefix(prefix: bytes) -> tuple[int, int]:
    """(header bytes, body bytes) to read next; raises RemoteProtocolError beyond the limits."""
    header_bytes, body_bytes = PREFIX.unpack(prefix)
    if not 0 < header_bytes <= FRAME_HEADER_MAX_BYTES or body_bytes > FRAME_BODY_MAX_BYTES:
        raise RemoteProtocolError(f"a frame of {header_bytes} + {body_bytes} bytes")
    return header_bytes, body_bytes


def decode(header: bytes, body_bytes: int) -> Frame:
    """What a frame says; raises RemoteProtocolError unless it is well-formed."""
    try:
        frame = _decoder.decode(header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        unknown = _unknown_frame(header)
        if unknown is None:
            raise RemoteProtocolError(f"a frame header that is not a message: {error}") from error
        return unknown
    if body_bytes != (sum(frame.sizes) if isinstance(frame, Blocks) else 0):
        raise RemoteProtocolError(f"a {type(frame).__name__} with a body of {body_bytes} bytes")
    return frame


def _unknown_frame(header: bytes) -> UnknownRequest | UnknownFrame | None:
    """None if the header is malformed, or one that we do know."""
    try:
        frame = _unknown.decode(header)
        if frame.kind in _KNOWN_TAGS:
            return None
        if frame.kind in REQUEST_TAGS:
            return UnknownRequest(_numbered.decode(header).number)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return frame
