"""The local socket's messages: what crosses, what a later version may add, what is refused."""

from __future__ import annotations

import msgspec
import pytest

from dhtstore import errors
from dhtstore.errors import (
    DhtstoreError,
    Interrupted,
    NotAnnounced,
    NotFound,
    NotRunning,
    PeerRefused,
    QuorumNotReached,
    RemoteProtocolError,
    UsageError,
)
from dhtstore.node.control import USE_CASES
from dhtstore.operations import conversation as conversation_module
from dhtstore.operations.content import DirectoryEntry, ListDirectory, Put, PutResult
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.messages import (
    ANSWER_MAX_BYTES,
    LENGTH_BYTES,
    RESULT_PIECE_BYTES,
    LocalFailure,
    LocalRequest,
    body_length,
    decode_answer,
    decode_request,
    encode_failure,
    encode_operation,
    encode_progress,
    encode_result,
    encode_rows,
    error_of,
    operation_of,
)
from dhtstore.operations.nodes import PingNode, PingResult
from dhtstore.operations.operation import Progress, result_type, unwatched
from dhtstore.operations.table import OPERATIONS

PUT = Put(kind="file", name="x", replicas=3)
RESULT = PutResult("b", 5, 2, 3, 2, [], {"node": "why"})


def framed(message: object) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


def crossed(error: BaseException) -> DhtstoreError:
    """An error as the other side sees it."""
    failure = decode_answer(encode_failure(error)[4:])
    assert isinstance(failure, LocalFailure)
    return error_of(failure)


def test_an_operation_crosses() -> None:
    request = decode_request(encode_operation(PUT, 1.5)[4:])
    assert operation_of(request) == PUT
    assert (request.descriptors, request.timeout_s) == (1, 1.5)


def test_every_operation_can_be_carried_out_and_says_what_it_results_in() -> None:
    assert set(OPERATIONS.values()) == set(USE_CASES)
    assert len({each.op for each in USE_CASES}) == len(USE_CASES)
    assert all(result_type(each) is not None for each in USE_CASES)


@pytest.mark.parametrize("size_bytes", [1, 3, 1000])
def test_a_conversation_in_pieces(size_bytes: int) -> None:
    seen: list[Progress] = []
    conversation = Conversation(PUT, None, seen.append)
    progress = Progress("copying", 5, 10, 2)
    data = encode_progress(progress) + encode_result(RESULT)
    pieces = [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]
    assert [conversation.feed(piece) for piece in pieces][-1]
    assert seen == [progress]
    assert conversation.result == RESULT


def test_a_conversation_that_ends_too_soon() -> None:
    conversation = Conversation(PUT, None, unwatched)
    assert not conversation.feed(encode_result(RESULT)[:-1])
    with pytest.raises(NotRunning):
        _ = conversation.result
    with pytest.raises(NotRunning):
        conversation.feed(b"")


def test_a_failure_is_raised() -> None:
    conversation = Conversation(PUT, None, unwatched)
    assert conversation.feed(encode_failure(NotFound("nobody")))
    with pytest.raises(NotFound, match="nobody"):
        _ = conversation.result


def test_who_did_not_interrupt_an_operation_hears_that_the_node_stopped() -> None:
    """A node that is told to stop ends what it works on, as if whoever asked had left."""
    conversation = Conversation(PUT, None, unwatched)
    said = Interrupted("interrupted")
    vars(said)["causes"] = {"node": "was slow"}
    assert conversation.feed(encode_failure(said))
    with pytest.raises(NotRunning, match="the node stopped while") as stopped:
        _ = conversation.result
    assert stopped.value.causes == {"node": "was slow"}
    assert "`dhtstore join`" in stopped.value.hint


def test_what_a_later_version_adds_is_passed_over() -> None:
    asked = {"type": "request", "op": "ping", "arguments": {"target": "x", "how": 9}, "more": 1}
    assert operation_of(decode_request(msgspec.msgpack.encode(asked))) == PingNode(target="x")
    told = {"node": "n", "address": "a", "rtt_ms": 1.0, "itself": False, "jitter_ms": 0.5}
    conversation = Conversation(PingNode(target="x"), None, unwatched)
    assert not conversation.feed(framed({"type": "remark", "text": "hm"}))
    assert conversation.feed(framed({"type": "result", "value": told, "took_s": 3}))
    assert conversation.result == PingResult("n", "a", 1.0)


def test_an_unknown_operation_and_wrong_arguments_are_told() -> None:
    with pytest.raises(UsageError, match="another version"):
        operation_of(LocalRequest("bogus", msgspec.Raw(b"\x80")))
    with pytest.raises(UsageError, match="malformed arguments"):
        operation_of(LocalRequest("put", msgspec.Raw(msgspec.msgpack.encode({"kind": "socket"}))))
    with pytest.raises(UsageError, match="malformed arguments"):
        operation_of(LocalRequest("ping", msgspec.Raw(b"\x80")))


def test_a_large_result_comes_in_pieces() -> None:
    names = [DirectoryEntry(f"name {number}", "c" * 59, "file", 1) for number in range(40_000)]
    answer = encode_result(names)
    conversation = Conversation(ListDirectory(target="x"), None, unwatched)
    pieces = [answer[at : at + 100_000] for at in range(0, len(answer), 100_000)]
    assert [conversation.feed(piece) for piece in pieces][-1]
    assert conversation.result == names
    assert len(answer) > RESULT_PIECE_BYTES * 2
    at = 0
    while at < len(answer):
        size = body_length(answer[at : at + 4], ANSWER_MAX_BYTES)  # raises beyond it
        at += 4 + size


def test_rows_come_before_the_end_and_are_taken_as_they_come() -> None:
    first, second = (DirectoryEntry(name, "cid", "file", 1) for name in "ab")
    conversation = Conversation(ListDirectory(target="x"), None, unwatched)
    assert decode_request(conversation.request[4:]).rows
    for message in encode_rows([first]):
        assert not conversation.feed(message)
    assert conversation.take_rows() == [first]
    assert conversation.take_rows() == []
    for message in encode_rows([second]):
        assert not conversation.feed(message)
    assert conversation.feed(encode_result([]))
    assert conversation.result == [second]  # what nobody took


def test_long_rows_come_in_several_messages() -> None:
    rows = [DirectoryEntry("n" * 1000, "cid", "file", number) for number in range(5000)]
    conversation = Conversation(ListDirectory(target="x"), None, unwatched)
    messages = list(encode_rows(rows))
    assert max(map(len, messages)) <= RESULT_PIECE_BYTES + 100
    assert not any(map(conversation.feed, messages))
    assert conversation.take_rows() == rows


def test_rows_of_what_is_no_list_are_refused() -> None:
    conversation = Conversation(PUT, None, unwatched)
    assert not decode_request(conversation.request[4:]).rows
    with pytest.raises(RemoteProtocolError, match="no list"):
        conversation.feed(b"".join(encode_rows([RESULT])))


def test_rows_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_module, "RESULT_MAX_BYTES", 1000)
    conversation = Conversation(ListDirectory(target="x"), None, unwatched)
    rows = b"".join(encode_rows([DirectoryEntry("n" * 400, "cid", "file", 1)]))
    conversation.feed(rows)
    conversation.take_rows()
    conversation.feed(rows)
    conversation.feed(rows)
    with pytest.raises(RemoteProtocolError, match="without end"):
        conversation.feed(rows)


def test_text_that_is_none_is_refused() -> None:
    request = encode_operation(PUT, None)[4:].replace(b"\xa3put", b"\xa3\xff\xff\xff")
    with pytest.raises(RemoteProtocolError):
        decode_request(request)
    with pytest.raises(RemoteProtocolError):
        decode_answer(encode_failure(NotFound("who"))[4:].replace(b"\xa3who", b"\xa3\xff\xff\xff"))


def test_a_result_of_another_type_is_refused() -> None:
    conversation = Conversation(PUT, None, unwatched)
    assert conversation.feed(encode_result([1, 2]))
    with pytest.raises(RemoteProtocolError):
        _ = conversation.result


def test_a_length_above_the_limit_is_refused() -> None:
    assert body_length(b"\0\0\0\x05", 5) == 5
    with pytest.raises(RemoteProtocolError):
        body_length(b"\0\0\0\x06", 5)


def test_malformed_answers() -> None:
    for body in (b"", b"\xc1", encode_operation(PUT, None)[4:-3]):
        with pytest.raises(RemoteProtocolError):
            decode_answer(body)


def every_error() -> list[type[DhtstoreError]]:
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    return [kind for kind in kinds if issubclass(kind, DhtstoreError)]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_crosses_with_its_class_and_message(kind: type[DhtstoreError]) -> None:
    error = kind.__new__(kind)
    error.args = ("what happened",)
    again = crossed(error)
    assert type(again) is kind
    assert str(again) == "what happened"
    assert again.hint == kind.hint


def test_a_hint_of_the_case_crosses() -> None:
    again = crossed(errors.UnreadableSource("x is a pipe").hinted("put what comes out of it"))
    assert again.hint == "put what comes out of it"
    assert errors.UnreadableSource.hint != again.hint


def test_fields_cross() -> None:
    few = QuorumNotReached("few", copies=1, replicas=3, min_acks=2, partial=RESULT)
    quorum = crossed(few)
    assert isinstance(quorum, QuorumNotReached)
    assert (quorum.copies, quorum.replicas, quorum.min_acks) == (1, 3, 2)
    assert quorum.partial == RESULT
    untold = crossed(NotAnnounced("nobody knows", partial=RESULT))
    assert isinstance(untold, NotAnnounced)
    assert untold.partial == RESULT
    refused = crossed(PeerRefused("full", "no room"))
    assert isinstance(refused, PeerRefused)
    assert (refused.code, str(refused)) == ("full", "no room")


def test_a_bug_becomes_a_plain_error_that_says_so() -> None:
    error = crossed(ZeroDivisionError("oops"))
    assert type(error) is DhtstoreError
    assert "unexpected" in str(error)
    assert "oops" in str(error)


def test_an_unknown_kind_is_still_an_error() -> None:
    assert type(error_of(LocalFailure("Exception", "x", {}))) is DhtstoreError
    assert type(error_of(LocalFailure("ClassVar", "x", {}))) is DhtstoreError
    assert type(error_of(LocalFailure("NotFound", "x", {}))) is NotFound


def test_what_is_no_text_is_in_no_operation() -> None:
    with pytest.raises(UsageError, match="name is not UTF-8"):
        Put(kind="stream", name="caf\udce9")
    with pytest.raises(UsageError, match="target is not UTF-8"):
        PingNode(target="\udcff")


def test_a_failure_may_name_a_path_that_is_no_text() -> None:
    failure = decode_answer(encode_failure(NotFound("no /caf\udce9"))[LENGTH_BYTES:])
    assert isinstance(failure, LocalFailure)
    assert failure.message == "no /caf\\udce9"
