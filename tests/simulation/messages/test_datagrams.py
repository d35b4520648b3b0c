"""What becomes of a datagram's question, told by what passes the network."""

from __future__ import annotations

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.wire import datagram, envelope
from simulations.messages.datagrams import OPEN_S, DatagramTalk
from simulations.messages.exchange import Exchange

A, B = Address("10.0.0.1", 7400), Address("10.0.0.2", 7400)
NETWORK = Network("test")
KEY = PublicKey(bytes(32))
ID = b"i" * envelope.MESSAGE_ID_BYTES


def sealed(frame: bytes) -> bytes:
    head = envelope.header_of(NETWORK, 0, KEY)
    return head + bytes(envelope.MAC_BYTES) + len(frame).to_bytes(2, "big") + frame


FIND = sealed(datagram.encode_request(ID, datagram.FindNode(b"\x5c" * 20)))
FOUND = sealed(datagram.encode_response(ID, datagram.FoundNodes(bytes(3 * 39))))
BUSY = sealed(datagram.encode_response(ID, datagram.Unserved("busy")))
CHALLENGE = envelope.challenge(NETWORK, KEY, ID, bytes(envelope.COOKIE_BYTES))


class Talk:
    """A talk and what it told."""

    def __init__(self) -> None:
        self.told: list[Exchange] = []
        self.talk = DatagramTalk(self.told.append)

    def only(self) -> Exchange:
        self.talk.close(100.0)
        (one,) = self.told
        return one


def test_an_answer_ends_its_question() -> None:
    told = Talk()
    told.talk.sent(1.0, "datagram", A, B, FIND)
    told.talk.arrived(1.1, A, B, FIND)
    told.talk.sent(1.1, "datagram", B, A, FOUND)
    told.talk.arrived(1.2, B, A, FOUND)
    told.talk.arrived(1.3, B, A, FOUND)  # a second copy
    one = told.only()
    assert one == Exchange(
        1.0, 1.2, A, B, "datagram", "find_node", "5c" * 20, answer="3 contacts", failure=""
    )
    assert one.ok


def test_an_answer_of_somebody_else_is_none() -> None:
    told, other = Talk(), Address("10.0.0.3", 7400)
    told.talk.sent(1.0, "datagram", A, B, FIND)
    told.talk.arrived(1.2, other, A, FOUND)
    assert told.only().failure == "no answer: on its way"


def test_who_lost_it_is_told() -> None:
    losses = {
        "no answer: the request was lost: queue full": [("perished", "queue full", A, B, FIND)],
        "no answer: the request was lost: nobody there": [("perished", "nobody there", A, B, FIND)],
        "no answer: it arrived, and was not answered": [("arrived", "", A, B, FIND)],
        "no answer: the answer was lost: dropped": [("sent", "dropped", B, A, FOUND)],
        "no answer: the answer was lost: behind a NAT": [("perished", "behind a NAT", B, A, FOUND)],
        "no answer: the challenge was lost: lost": [("sent", "lost", B, A, CHALLENGE)],
        "no answer: challenged, and not asked again": [("arrived", "", B, A, CHALLENGE)],
    }
    for failure, steps in losses.items():
        told = Talk()
        told.talk.sent(1.0, "datagram", A, B, FIND)
        for what, why, source, target, data in steps:
            if what == "arrived":
                told.talk.arrived(2.0, source, target, data)
            else:
                step = told.talk.sent if what == "sent" else told.talk.perished
                step(2.0, why, source, target, data)
        assert told.only().failure == failure


def test_one_that_is_asked_again_is_one_question() -> None:
    told = Talk()
    told.talk.sent(1.0, "lost", A, B, FIND)
    told.talk.sent(2.0, "datagram", A, B, FIND)
    told.talk.arrived(2.2, B, A, BUSY)
    one = told.only()
    assert (one.start_s, one.failure, one.ok) == (1.0, "unserved: busy", False)


def test_nobody_waits_for_ever() -> None:
    """What is not answered is told when nobody waits any more: memory is bounded."""
    told = Talk()
    told.talk.sent(1.0, "lost", A, B, FIND)
    other = sealed(datagram.encode_request(b"j" * 20, datagram.Ping()))
    told.talk.sent(1.5 + OPEN_S, "datagram", A, B, other)
    assert [one.failure for one in told.told] == ["no answer: the request was lost: lost"]


def test_what_does_not_decode_is_told_as_that() -> None:
    told = Talk()
    told.talk.sent(1.0, "datagram", A, B, sealed(bytes([datagram.REQUEST]) + ID + b"\xc1"))
    told.talk.sent(1.0, "datagram", A, B, b"no datagram of ours")
    told.talk.close(9.0)
    assert [one.kind for one in told.told] == ["malformed", "malformed"]
