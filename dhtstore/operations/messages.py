"""The local socket's messages: how an operation and what comes of it are spelled.

One connection carries one request; then any number of progress messages, and one result or
failure.  Each message is a 4-byte big-endian length and a msgpack map whose ``type`` says what it
is.  Fields and types that a later version adds are passed over; an operation that is not known is
answered by a failure.  A result too large for one message comes in pieces before it; a list comes
in rows as they are found, if the request says that rows are welcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec

from dhtstore import errors
from dhtstore.errors import (
    DhtstoreError,
    NotAnnounced,
    PartlyStored,
    QuorumNotReached,
    RemoteProtocolError,
    UsageError,
)
from dhtstore.operations.content import HolderReport, PutResult
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.operations.operation import Operation, Progress, is_listing, result_type
from dhtstore.operations.table import OPERATIONS
from dhtstore.params import WRAPPED_MAX

LENGTH_BYTES: Final = 4
REQUEST_MAX_BYTES: Final = 512 * 1024  # patterns of a put, and as much again
ANSWER_MAX_BYTES: Final = 4 * 1024 * 1024
RESULT_PIECE_BYTES: Final = 1024 * 1024
RESULT_MAX_BYTES: Final = 1024 * 1024 * 1024  # a listing of ten million names
DESCRIPTORS_MAX: Final = WRAPPED_MAX

R = TypeVar("R")


class LocalRequest(msgspec.Struct, frozen=True, tag_field="type", tag="request"):
    """``arguments`` are the fields of the operation ``op``; ``descriptors`` counts the open files
    that come along; ``timeout_s`` None for no deadline; ``rows`` whether those of a list may come
    as they are found."""

    op: str
    arguments: msgspec.Raw
    descriptors: int = 0
    timeout_s: float | None = None
    rows: bool = False


class LocalProgress(msgspec.Struct, frozen=True, tag_field="type", tag="progress"):
    progress: Progress


class LocalPiece(msgspec.Struct, frozen=True, tag_field="type", tag="piece"):
    """Part of a result, in order."""

    data: bytes


class LocalRows(msgspec.Struct, frozen=True, tag_field="type", tag="rows"):
    """The next rows of a list, in order."""

    rows: msgspec.Raw


class LocalResult(msgspec.Struct, frozen=True, tag_field="type", tag="result"):
    """The end of a request that worked: what the pieces before it make up, if there are any, else
    ``value``; of a list, what comes after its rows."""

    value: msgspec.Raw


class LocalFailure(msgspec.Struct, frozen=True, tag_field="type", tag="failure"):
    """The end of a request that failed: a class of errors.py, its message and its fields."""

    kind: str
    message: str
    fields: dict[str, Any]


LocalAnswer = LocalProgress | LocalPiece | LocalRows | LocalResult | LocalFailure


class _Kind(msgspec.Struct, frozen=True):
    type: str


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=str)
_strict: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(LocalRequest)
_kinds: Final = msgspec.msgpack.Decoder(_Kind)
_answers: Final[msgspec.msgpack.Decoder[LocalAnswer]] = msgspec.msgpack.Decoder(LocalAnswer)
_ANSWER_KINDS: Final = ("progress", "piece", "rows", "result", "failure")
_MALFORMED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NOTHING: Final = msgspec.Raw(_encoder.encode(None))


def encode_operation(operation: Operation[Any], timeout_s: float | None) -> bytes:
    """The request that asks for ``operation``, with its length in front.

    Raises UsageError for arguments of wrong types, and for text that cannot be written.
    """
    _check_timeout(timeout_s)
    try:
        arguments = msgspec.Raw(_strict.encode(operation))
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"malformed arguments of {operation.op}: {error}") from error
    rows = is_listing(type(operation))
    count = operation.descriptor_count
    request = LocalRequest(operation.op, arguments, count, timeout_s, rows)
    operation_of(request)
    return _framed(request)


def as_received(
    operation: Operation[R], timeout_s: float | None
) -> tuple[Operation[R], float | None]:
    """An operation as the node at the other end of the socket would get it: its types checked.
    Raises UsageError."""
    request = decode_request(encode_operation(operation, timeout_s)[LENGTH_BYTES:])
    return operation_of(request), request.timeout_s


def _check_timeout(timeout_s: object) -> None:
    number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if timeout_s is not None and not (number and 0 <= cast(float, timeout_s) < float("inf")):
        raise UsageError(f"a timeout is a number of seconds, or None, not {timeout_s!r}")


def encode_progress(progress: Progress) -> bytes:
    return _framed(LocalProgress(progress))


def encode_result(value: object) -> bytes:
    """One message, or several for a large one."""
    encoded = _encoder.encode(value)
    if len(encoded) <= RESULT_PIECE_BYTES:
        return _framed(LocalResult(msgspec.Raw(encoded)))
    pieces = (
        _framed(LocalPiece(encoded[at : at + RESULT_PIECE_BYTES]))
        for at in range(0, len(encoded), RESULT_PIECE_BYTES)
    )
    return b"".join([*pieces, _framed(LocalResult(_NOTHING))])


def encode_rows(rows: Sequence[object]) -> Iterator[bytes]:
    """One message, or several where names are long."""
    encoded = _encoder.encode(rows)
    if len(encoded) <= RESULT_PIECE_BYTES or len(rows) == 1:
        yield _framed(LocalRows(msgspec.Raw(encoded)))
        return
    half = len(rows) // 2
    yield from encode_rows(rows[:half])
    yield from encode_rows(rows[half:])


def encode_failure(error: BaseException) -> bytes:
    """What the other side needs to raise the same error again."""
    kind = type(error).__name__ if isinstance(error, DhtstoreError) else "DhtstoreError"
    message = str(error) if kind == type(error).__name__ else f"unexpected: {error!r}"
    message = message.encode(errors="backslashreplace").decode()  # a path need not be text
    fields = {key: msgspec.to_builtins(value, enc_hook=repr) for key, value in vars(error).items()}
    return _framed(LocalFailure(kind, message, fields))


def decode_request(body: bytes) -> LocalRequest:
    """Raises RemoteProtocolError."""
    try:
        return _requests.decode(body)
    except _MALFORMED as error:
        raise RemoteProtocolError(f"a malformed request on the local socket: {error}") from error


def operation_of(request: LocalRequest) -> Operation[Any]:
    """What a request asks for; raises UsageError for what this version does not know and for
    arguments that are malformed."""
    kind = OPERATIONS.get(request.op)
    if kind is None:
        raise UsageError(
            f"this node knows no command {request.op[:80]!r}; is it of another version?"
        ).hinted("stop the node and start it again, so that it is of this version")
    try:
        operation: Operation[Any] = msgspec.msgpack.decode(request.arguments, type=kind)
    except _MALFORMED as error:
        raise UsageError(f"malformed arguments of {request.op}: {error}") from error
    return operation


def decode_answer(body: bytes) -> LocalAnswer | None:
    """None for a kind of message that this version does not know.  Raises RemoteProtocolError."""
    try:
        return _answers.decode(body) if _kinds.decode(body).type in _ANSWER_KINDS else None
    except _MALFORMED as error:
        raise RemoteProtocolError(f"a malformed answer on the local socket: {error}") from error


def decode_result(operation: Operation[R], encoded: bytes | msgspec.Raw) -> R:
    """The typed result of ``operation``; raises RemoteProtocolError."""
    try:
        value: R = msgspec.msgpack.decode(encoded, type=result_type(type(operation)))
    except _MALFORMED as error:
        raise RemoteProtocolError(f"a malformed result of {operation.op}: {error}") from error
    return value


def decode_rows(operation: Operation[Any], encoded: msgspec.Raw) -> list[Any]:
    """The typed rows of a list; raises RemoteProtocolError."""
    if not is_listing(type(operation)):
        raise RemoteProtocolError(f"rows of {operation.op}, which is no list")
    rows: list[Any] = decode_result(operation, encoded)
    return rows


def error_of(failure: LocalFailure) -> DhtstoreError:
    """The error a failure stands for, with its fields."""
    kind = getattr(errors, failure.kind, DhtstoreError)
    if not (isinstance(kind, type) and issubclass(kind, DhtstoreError)):
        kind = DhtstoreError
    error = errors.restored(kind, (failure.message,), failure.fields)
    if isinstance(error, QuorumNotReached | NotAnnounced | PartlyStored):
        error.partial = msgspec.convert(failure.fields.get("partial"), PutResult | None)
    if "reports" in failure.fields:
        reports = msgspec.convert(failure.fields["reports"], list[HolderReport])
        vars(error)["reports"] = reports
    if "report" in failure.fields:
        vars(error)["report"] = msgspec.convert(failure.fields["report"], FetchReport)
    return error


def body_length(header: bytes, limit_bytes: int) -> int:
    """The length a header announces; raises RemoteProtocolError above the limit."""
    length = int.from_bytes(header, "big")
    if length > limit_bytes:
        raise RemoteProtocolError(f"a message of {length} bytes on the local socket")
    return length


def _framed(message: msgspec.Struct) -> bytes:
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
