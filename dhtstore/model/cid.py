"""CIDs: self-describing names of bytes (multiformats CID specification, versions 0 and 1).

A ``Cid`` is a thin wrapper around its binary form, so that comparing, hashing and storing one
costs what a ``bytes`` costs.  Blocks are kept by multihash: the same bytes named by a CIDv0 and
a CIDv1 are one block.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from dhtstore.errors import BlockMismatch, InvalidCid
from dhtstore.params import IDENTITY_DIGEST_MAX_BYTES

RAW: Final = 0x55  # multicodec table
DAG_PB: Final = 0x70
_CODECS: Final = frozenset((RAW, DAG_PB))

IDENTITY: Final = 0x00
SHA2_256: Final = 0x12
_HASHES: Final[dict[int, tuple[int, Callable[[bytes], bytes]]]] = {
    SHA2_256: (32, lambda data: hashlib.sha256(data).digest()),
    0x13: (64, lambda data: hashlib.sha512(data).digest()),
    0xB220: (32, lambda data: hashlib.blake2b(data, digest_size=32).digest()),
}
_V0_PREFIX: Final = bytes((SHA2_256, 32))
_V1_SHA256_PREFIX: Final = {codec: bytes((1, codec, SHA2_256, 32)) for codec in _CODECS}
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE32_CHARS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_KNOWN_KINDS: Final = (
    "files and directories are read (codecs raw and dag-pb) that are named by sha2-256, sha2-512,"
    " blake2b-256 or identity"
)
_BASE32_ENDS: Final = _BASE32_CHARS[::4]
_TEXT_MAX_CHARS: Final = 512
_BASE32: Final = _BASE32_CHARS.encode() + bytes(224)
_V1_SHA256_BYTES: Final = 36
_LANE_BYTES: Final = 64  # for 40 bytes of 8 bits, 64 of 5
_BEHIND: Final = bytes(_LANE_BYTES * 5 // 8 - _V1_SHA256_BYTES)
_BEFORE: Final = bytes(_LANE_BYTES - _LANE_BYTES * 5 // 8)
_SPELLED_AT_ONCE: Final = 256
_V0_CHARS: Final = 46
_V1_SHA256_CHARS: Final = 59  # with its multibase


class Cid:
    """One CID.  ``raw`` is its binary form; equality, order and hash are those of ``raw``.

    Build one with ``Cid.of`` (from bytes), ``Cid.parse`` (from text) or ``Cid.decode`` (binary).
    """

    __slots__ = ("raw",)
    raw: bytes

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, codec: int = RAW) -> Cid:
        """The CIDv1 (sha2-256) of ``data``."""
        return cls(_V1_SHA256_PREFIX[codec] + hashlib.sha256(data).digest())

    @classmethod
    def decode(cls, raw: bytes) -> Cid:
        """A CID from its binary form; raises InvalidCid if it is malformed or unsupported."""
        if len(raw) == 36 and raw[:4] in _V1_SHA256_PREFIX.values():
            return cls(raw)
        if len(raw) == 34 and raw[:2] == _V0_PREFIX:
            return cls(raw)
        _check_v1(raw)
        return cls(raw)

    @classmethod
    def parse(cls, text: str) -> Cid:
        """A CID from text: CIDv0, or CIDv1 in the multibases b, B, z, f, F.

        Raises InvalidCid.
        """
        try:
            return cls.decode(_decode_text(text))
        except (ValueError, KeyError, IndexError, InvalidCid) as error:
            why = misspelt(text)
            if isinstance(error, InvalidCid) and not why:
                raise
            raise InvalidCid(f"not a CID: {text[:80]!r}{why and ': '}{why}") from error

    @property
    def version(self) -> int:
        return 1 if self.raw[0] == 1 else 0

    @property
    def codec(self) -> int:
        """RAW or DAG_PB."""
        return self.raw[1] if self.raw[0] == 1 else DAG_PB

    @property
    def multihash(self) -> bytes:
        """What a block store keys by: hash code, length and digest, without version and codec."""
        raw = self.raw
        return raw[2:] if raw[0] == 1 else raw

    @property
    def inlined(self) -> bytes | None:
        """The content itself if this is an identity CID, else None."""
        raw = self.raw
        if raw[2] != IDENTITY or raw[0] != 1:
            return None
        return raw[4:] if raw[3] < 0x80 else raw[5:]  # the length is a varint

    def verify(self, data: bytes | bytearray | memoryview) -> None:
        """Raise BlockMismatch unless ``data`` hashes to this CID."""
        if not self.matches(data):
            raise BlockMismatch(f"the bytes received for {self} do not hash to it")

    def matches(self, data: bytes | bytearray | memoryview) -> bool:
        multihash = self.multihash
        if multihash[0] == SHA2_256:
            return multihash[2:] == hashlib.sha256(data).digest()
        if multihash[0] == IDENTITY:
            return self.inlined == bytes(data)
        code, start = _read_varint(multihash, 0)
        return multihash[start + 1 :] == _HASHES[code][1](bytes(data))

    def __str__(self) -> str:
        if self.version == 0:
            return _base58_encode(self.raw)
        return "b" + _base32(self.raw)

    def __repr__(self) -> str:
        return f"Cid({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cid) and self.raw == other.raw

    def __lt__(self, other: Cid) -> bool:
        return self.raw < other.raw

    def __hash__(self) -> int:
        return hash(self.raw)


class CidPrefix(NamedTuple):
    """What the beginning of a binary CID says, and how long all of it is; ``known`` unless it is of
    a kind that is not stored here."""

    codec: int
    hash_code: int
    size_bytes: int
    known: bool


def read_prefix(raw: bytes) -> CidPrefix:
    """Of a CID that other bytes may follow.  Raises InvalidCid."""
    if raw[:2] == _V0_PREFIX:
        return CidPrefix(DAG_PB, SHA2_256, 34, known=True)
    try:
        version, at = _read_varint(raw, 0)
        codec, at = _read_varint(raw, at)
        code, at = _read_varint(raw, at)
        length, at = _read_varint(raw, at)
    except IndexError as error:
        raise InvalidCid("a CID that ends too early") from error
    if version != 1:
        raise InvalidCid(f"CID version {version} is not supported")
    known = codec in _CODECS and (code == IDENTITY or code in _HASHES)
    return CidPrefix(codec, code, at + length, known)


def misspelt(text: str) -> str:
    """What keeps ``text`` from being a CID; "" where it is one, or does not look like one."""
    if text.startswith("Qm"):
        return _misspelt(text, _BASE58, "digits and letters but 0, O, I and l", _V0_CHARS)
    if text.lower().startswith("baf"):
        if text not in (text.lower(), text.upper()):
            return "it mixes small and capital letters"
        text = text.lower()
        wrong = _misspelt(text, _BASE32_CHARS, "a to z and 2 to 7", _V1_SHA256_CHARS)
        return wrong or _misended(text)
    return ""


def _misended(text: str) -> str:
    """The last digit of a CID in base32 has two bits that belong to none of its bytes."""
    if text[-1] in _BASE32_ENDS:
        return ""
    ends = f"{', '.join(_BASE32_ENDS[:-1])} and {_BASE32_ENDS[-1]}"
    return f"{text[-1]!r} at place {len(text)} ends no such CID: only {ends} do"


def _misspelt(text: str, alphabet: str, described: str, usual_chars: int) -> str:
    for at, char in enumerate(text, 1):
        if char not in alphabet:
            return f"{char!r} at place {at} is none of its characters, which are {described}"
    missing = usual_chars - len(text)
    if missing > 0:
        return f"it has {len(text)} characters, {missing} less than such a CID"
    if missing < 0:
        return f"it has {len(text)} characters, {-missing} more than such a CID"
    return ""


def _check_v1(raw: bytes) -> None:
    try:
        version, at = _read_varint(raw, 0)
        codec, at = _read_varint(raw, at)
        code, at = _read_varint(raw, at)
        length, at = _read_varint(raw, at)
    except IndexError as error:
        raise InvalidCid("a CID that ends too early") from error
    if version != 1 or codec not in _CODECS:
        raise InvalidCid(f"CID version {version} with codec {codec:#x} is not supported").hinted(
            _KNOWN_KINDS
        )
    if code == IDENTITY:
        valid = length <= IDENTITY_DIGEST_MAX_BYTES
    else:
        valid = code in _HASHES and length == _HASHES[code][0]
    if not valid or len(raw) != at + length:
        raise InvalidCid(f"CID with hash {code:#x} of {length} bytes is not supported").hinted(
            _KNOWN_KINDS
        )


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise InvalidCid("a CID with a varint that is not minimal")
            return value, at
        shift += 7
        if shift > 28:
            raise InvalidCid("a CID with a varint that is too long")


def _decode_text(text: str) -> bytes:
    if not text or len(text) > _TEXT_MAX_CHARS:
        raise ValueError("empty or too long")
    if text.startswith("Qm") and len(text) == _V0_CHARS:
        return _base58_decode(text)
    kind, body = text[0], text[1:]
    if kind == "z":
        return _base58_decode(body)
    if kind in "bB":
        raw = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
        spelled = _base32(raw)
    elif kind in "fF":
        raw = bytes.fromhex(body)
        spelled = raw.hex()
    else:
        raise ValueError("unknown multibase")
    if body != (spelled if kind.islower() else spelled.upper()):
        raise ValueError("not as these bytes are spelled: a slip, or of both cases")
    return raw


def _base32(raw: bytes) -> str:
    """RFC 4648, small letters, without padding."""
    return base64.b32encode(raw).decode().lower().rstrip("=")


def spelled(cids: Sequence[Cid]) -> list[str]:
    """The text of each.  Of many it takes a small part of the time that ``str`` takes: lists spell
    CIDs by the hundred thousand."""
    texts: list[str] = []
    for at in range(0, len(cids), _SPELLED_AT_ONCE):
        group = [cid.raw for cid in cids[at : at + _SPELLED_AT_ONCE]]
        if all(len(raw) == _V1_SHA256_BYTES for raw in group):
            texts += _base32_of_each(group)
        else:
            texts += [str(Cid(raw)) for raw in group]
    return texts


def _base32_of_each(group: Sequence[bytes]) -> Iterator[str]:
    """RFC 4648 without padding, of CIDs of one length: in one large number, the digits of each, 64
    of 5 bits, are spread over 64 bytes, by halves, and then looked up."""
    number = int.from_bytes(b"".join([_BEFORE + raw + _BEHIND for raw in group]), "big")
    lanes = len(group) * _LANE_BYTES
    for half, stay in _spreading(len(group)):
        number = number & stay | (number & stay << 5 * half) << 3 * half
    text = number.to_bytes(lanes, "big").translate(_BASE32).decode()
    return ("b" + text[at : at + _V1_SHA256_CHARS - 1] for at in range(0, lanes, _LANE_BYTES))


@lru_cache(maxsize=4)
def _spreading(count: int) -> tuple[tuple[int, int], ...]:
    """For each halving of the digits of so many CIDs: how many move on by three bits each, and the
    digits that stay."""
    steps = []
    for half in (32, 16, 8, 4, 2, 1):
        stay = ((1 << 5 * half) - 1).to_bytes(2 * half, "big")
        steps.append((half, int.from_bytes(stay * (count * _LANE_BYTES // len(stay)), "big")))
    return tuple(steps)


def _base58_encode(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def _base58_decode(text: str) -> bytes:
    number = 0
    for char in text:
        number = number * 58 + _BASE58.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
