from __future__ import annotations

import base64
import ipaddress
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.errors import InvalidTicket
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.wire.ticket import TICKET_PREFIX, Ticket, looks_like_ticket

names = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda t: len(t.encode()) <= 64)
hosts = st.ip_addresses().map(lambda ip: str(ipaddress.ip_address(ip.packed)))
addresses = st.builds(Address, hosts, st.integers(0, 65535))
tickets = st.builds(
    Ticket,
    names,
    st.binary(min_size=32, max_size=32).map(PublicKey),
    st.lists(addresses, min_size=1, max_size=4).map(tuple),
)
SAMPLE = Ticket("main", PublicKey(bytes(range(32))), (Address("127.0.0.1", 7401),))


def seal(body: bytes) -> str:
    sealed = body + zlib.crc32(body).to_bytes(4, "big")
    return TICKET_PREFIX + base64.b32encode(sealed).decode().lower().rstrip("=")


@given(tickets)
def test_round_trip(ticket: Ticket) -> None:
    text = str(ticket)
    assert Ticket.parse(text) == ticket
    assert text == text.lower()
    assert looks_like_ticket(text)
    assert Ticket.parse(f"  {text}\n") == ticket


def test_every_single_character_flip_is_refused() -> None:
    text = str(SAMPLE)
    alphabet = "abcdefghijklmnopqrstuvwxyz234567018ABZ=-"
    for at, char in enumerate(text):
        for other in alphabet.replace(char, ""):
            with pytest.raises(InvalidTicket):
                Ticket.parse(text[:at] + other + text[at + 1 :])


@given(st.data())
def test_cut_or_lengthened_tickets_are_refused(data: st.DataObject) -> None:
    text = str(SAMPLE)
    cut = data.draw(st.integers(0, len(text) - 1))
    for wrong in (text[:cut], text[cut + 1 :], text + "a", text[:cut] + "a" + text[cut:]):
        with pytest.raises(InvalidTicket):
            Ticket.parse(wrong)


@given(st.text() | st.binary().map(seal))
def test_junk_is_refused(junk: str) -> None:
    with pytest.raises(InvalidTicket):
        Ticket.parse(junk)


@pytest.mark.parametrize(
    "broken",
    [
        Ticket("", SAMPLE.public_key, SAMPLE.addresses),
        Ticket("n" * 65, SAMPLE.public_key, SAMPLE.addresses),
        Ticket("main", PublicKey(b"short"), SAMPLE.addresses),
        Ticket("main", SAMPLE.public_key, ()),
        Ticket("main", SAMPLE.public_key, SAMPLE.addresses * 5),
    ],
)
def test_a_ticket_that_cannot_be_read_back_is_not_written(broken: Ticket) -> None:
    with pytest.raises(InvalidTicket):
        str(broken)


def test_contacts_carry_key_and_addresses() -> None:
    (contact,) = SAMPLE.contacts()
    assert contact.public_key == SAMPLE.public_key
    assert contact.address == Address("127.0.0.1", 7401)


@pytest.mark.parametrize("text", ["dht1abc", f"{SAMPLE}x", str(SAMPLE)[:-1], "dht1!!"])
def test_what_was_not_copied_whole_is_told_so(text: str) -> None:
    with pytest.raises(InvalidTicket) as refused:
        Ticket.parse(text)
    assert "a character is wrong or missing" in str(refused.value)
    assert "padding" not in str(refused.value)
