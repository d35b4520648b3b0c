from __future__ import annotations

import pytest

from dhtstore import errors
from dhtstore.errors import (
    DhtstoreError,
    NotFound,
    PeerRefused,
    QuorumNotReached,
    RemoteProtocolError,
)
from dhtstore.wire.control import (
    Failure,
    Progress,
    Request,
    Result,
    body_length,
    decode_answer,
    decode_request,
    encode,
    error_of,
    failure_of,
)


def test_messages_round_trip() -> None:
    request = Request("put", name="x", replicas=3, descriptors=1)
    assert decode_request(encode(request)[4:]) == request
    for answer in (
        Progress("copy", 5, 10, 2),
        Result({"cid": "b", "receipts": []}),
        Failure("NotFound", "nobody", {}),
    ):
        assert decode_answer(encode(answer)[4:]) == answer


def test_a_length_above_the_limit_is_refused() -> None:
    assert body_length(b"\0\0\0\x05", 5) == 5
    with pytest.raises(RemoteProtocolError):
        body_length(b"\0\0\0\x06", 5)


def test_malformed_answers() -> None:
    for body in (b"", b"\xc1", encode(Request("put"))[4:]):
        with pytest.raises(RemoteProtocolError):
            decode_answer(body)


def every_error() -> list[type[DhtstoreError]]:
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    return [kind for kind in kinds if issubclass(kind, DhtstoreError)]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_crosses_with_its_class_and_message(kind: type[DhtstoreError]) -> None:
    error = kind.__new__(kind)
    error.args = ("what happened",)
    again = error_of(failure_of(error))
    assert type(again) is kind
    assert str(again) == "what happened"
    assert again.hint == kind.hint


def test_fields_cross() -> None:
    few = QuorumNotReached("few", copies=1, wanted=3, min_acks=2, partial={"cid": "b"})
    quorum = error_of(failure_of(few))
    assert isinstance(quorum, QuorumNotReached)
    assert (quorum.copies, quorum.wanted, quorum.min_acks) == (1, 3, 2)
    assert quorum.partial == {"cid": "b"}
    refused = error_of(failure_of(PeerRefused("full", "no room")))
    assert isinstance(refused, PeerRefused)
    assert (refused.code, str(refused)) == ("full", "no room")


def test_a_bug_becomes_a_plain_error_that_says_so() -> None:
    error = error_of(failure_of(ZeroDivisionError("oops")))
    assert type(error) is DhtstoreError
    assert "unexpected" in str(error)
    assert "oops" in str(error)


def test_an_unknown_kind_is_still_an_error() -> None:
    assert type(error_of(Failure("Exception", "x", {}))) is DhtstoreError
    assert type(error_of(Failure("ClassVar", "x", {}))) is DhtstoreError
    assert type(error_of(Failure("NotFound", "x", {}))) is NotFound
