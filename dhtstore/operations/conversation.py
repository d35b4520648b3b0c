"""The asking side of one request on the local socket: bytes in, what they mean out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from dhtstore.errors import Interrupted, NotRunning, RemoteProtocolError
from dhtstore.operations.messages import (
    ANSWER_MAX_BYTES,
    LENGTH_BYTES,
    RESULT_MAX_BYTES,
    LocalAnswer,
    LocalFailure,
    LocalPiece,
    LocalProgress,
    LocalResult,
    LocalRows,
    body_length,
    decode_answer,
    decode_result,
    decode_rows,
    encode_operation,
    error_of,
)
from dhtstore.operations.operation import Operation, Watch

R = TypeVar("R")


class Conversation(Generic[R]):
    """One operation asked for.  ``request`` is to be sent; then ``feed`` it what arrives until it
    says that this was all, and take the ``result``."""

    def __init__(self, operation: Operation[R], timeout_s: float | None, watch: Watch) -> None:
        self.request = encode_operation(operation, timeout_s)
        self._operation, self._watch = operation, watch
        self.begins_soon = not operation.needs_node  # what lies in the home is told at once
        self._received, self._pieces = bytearray(), bytearray()
        self._rows: list[Any] = []
        self._rows_bytes = 0
        self._end: LocalResult | LocalFailure | None = None

    def feed(self, data: bytes) -> bool:
        """Take what arrived; True when nothing more is to come.

        Raises NotRunning for the end of the connection (``data`` empty) before that, and
        RemoteProtocolError for what is no answer.
        """
        if not data:
            raise _stopped()
        self._received += data
        while self._end is None and (body := self._next_body()) is not None:
            self._take(decode_answer(body))
        return self._end is not None

    def take_rows(self) -> list[Any]:
        """The rows of a list that came since it was last called; the result is what nobody took."""
        rows, self._rows, self._rows_bytes = self._rows, [], 0
        return rows

    @property
    def last_words(self) -> dict[str, Any]:
        """The fields of what the operation failed with, if it has: what was done until then."""
        return vars(error_of(self._end)) if isinstance(self._end, LocalFailure) else {}

    @property
    def result(self) -> R:
        """What the operation resulted in; raises what it failed with, NotRunning where the node
        stopped: whoever interrupts an operation takes its ``last_words``, and no result."""
        if isinstance(self._end, LocalFailure):
            error = error_of(self._end)
            raise _stopped(vars(error)) if isinstance(error, Interrupted) else error
        if self._end is None:
            raise NotRunning("the node has not answered yet")
        result = decode_result(self._operation, bytes(self._pieces) or self._end.value)
        return cast(R, [*self._rows, *result]) if isinstance(result, list) else result

    def _next_body(self) -> bytes | None:
        if len(self._received) < LENGTH_BYTES:
            return None
        end = LENGTH_BYTES + body_length(bytes(self._received[:LENGTH_BYTES]), ANSWER_MAX_BYTES)
        if len(self._received) < end:
            return None
        body = bytes(self._received[LENGTH_BYTES:end])
        del self._received[:end]
        return body

    def _take(self, answer: LocalAnswer | None) -> None:
        if isinstance(answer, LocalProgress):
            self._watch(answer.progress)
        elif isinstance(answer, LocalPiece):
            self._pieces += answer.data
            self._check_size()
        elif isinstance(answer, LocalRows):
            self._rows += decode_rows(self._operation, answer.rows)
            self._rows_bytes += len(answer.rows)
            self._check_size()
        elif answer is not None:
            self._end = answer

    def _check_size(self) -> None:
        if len(self._pieces) + self._rows_bytes > RESULT_MAX_BYTES:
            raise RemoteProtocolError("a result without end on the local socket")


def _stopped(last_words: Mapping[str, Any] | None = None) -> NotRunning:
    """The node ended before the operation; what it still told of that goes along."""
    error = NotRunning("the node stopped while it was working on this command")
    vars(error).update(last_words or {})
    return error.hinted(
        "see what it said, start it again with `dhtstore join`, and repeat the command"
    )
