"""Messages between a command and the node it talks to, over the local socket.

One connection carries one request; then any number of progress messages, and one result or
failure.  Each message is a 4-byte big-endian length and a tagged msgpack map.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dhtstore import errors
from dhtstore.errors import DhtstoreError, RemoteProtocolError

LENGTH_BYTES: Final = 4
REQUEST_MAX_BYTES: Final = 64 * 1024
ANSWER_MAX_BYTES: Final = 16 * 1024 * 1024  # a listing of a large directory
DESCRIPTORS_MAX: Final = 2


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Base of what travels over the local socket."""


class Request(Message, frozen=True, forbid_unknown_fields=True):
    """``op`` names a use case; the other fields are what the use cases take.

    ``target`` is a CID with an optional path, a node id, or a key; ``name`` what a file is or
    shall be called; ``kind`` what the descriptor passed along is.  ``descriptors`` counts them.
    """

    op: str
    target: str = ""
    name: str = ""
    kind: str = ""
    replicas: int | None = None
    min_acks: int | None = None
    timeout_s: float | None = None
    descriptors: int = 0
    pin: bool = False


class Progress(Message, frozen=True):
    """How far the work is; ``total_bytes`` None when nobody can know yet."""

    phase: str
    done_bytes: int
    total_bytes: int | None = None
    holders: int = 0


class Result(Message, frozen=True):
    """The end of a request that worked; ``value`` holds plain JSON types only."""

    value: Any


class Failure(Message, frozen=True):
    """The end of a request that failed: a class of errors.py, its message and its fields."""

    kind: str
    message: str
    fields: dict[str, Any]


Answer = Progress | Result | Failure

_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(Request)
_answers: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


def encode(message: Message) -> bytes:
    """The message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_request(body: bytes) -> Request:
    """Raises RemoteProtocolError."""
    try:
        return _requests.decode(body)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"a malformed request on the local socket: {error}") from error


def decode_answer(body: bytes) -> Answer:
    """Raises RemoteProtocolError."""
    try:
        return _answers.decode(body)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"a malformed answer on the local socket: {error}") from error


def body_length(header: bytes, limit_bytes: int) -> int:
    """The length a header announces; raises RemoteProtocolError above the limit."""
    length = int.from_bytes(header, "big")
    if length > limit_bytes:
        raise RemoteProtocolError(f"a message of {length} bytes on the local socket")
    return length


def failure_of(error: BaseException) -> Failure:
    """What the other side needs to raise the same error again."""
    kind = type(error).__name__ if isinstance(error, DhtstoreError) else "DhtstoreError"
    message = str(error) if kind == type(error).__name__ else f"unexpected: {error!r}"
    return Failure(kind, message, {key: _plain(value) for key, value in vars(error).items()})


def error_of(failure: Failure) -> DhtstoreError:
    """The error a failure stands for, with its fields."""
    kind = getattr(errors, failure.kind, DhtstoreError)
    if not (isinstance(kind, type) and issubclass(kind, DhtstoreError)):
        kind = DhtstoreError
    error = kind.__new__(kind)
    error.args = (failure.message,)
    vars(error).update(failure.fields)
    return error


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=repr)
