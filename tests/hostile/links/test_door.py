"""TLS handshakes cost the event loop a millisecond each, and a stranger's address is all that is
known before."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import Address
from dhtstore.net import accepting
from dhtstore.net.accepting import Door
from dhtstore.net.certificate import client_context
from dhtstore.net.ports import Stream
from dhtstore.net.tcp import TlsTransport
from dhtstore.params import (
    HANDSHAKES_AT_ONCE,
    HANDSHAKES_AT_ONCE_PER_ORIGIN,
    HANDSHAKES_PER_S,
    HANDSHAKES_PER_S_PER_ORIGIN,
)
from dhtstore.tasks import Supervisor


def admitted(door: Door, hosts: list[str], now_s: float = 0.0) -> int:
    return sum(door.admits(host, now_s) for host in hosts)


def test_one_origin_gets_its_share_whatever_hosts_it_has() -> None:
    door = Door(0.0)
    assert admitted(door, [f"192.0.2.{n % 250}" for n in range(1000)]) == (
        HANDSHAKES_AT_ONCE_PER_ORIGIN
    )
    assert admitted(door, ["198.51.100.1"]) == 1
    assert admitted(door, ["192.0.2.1"] * 1000, 1.0) == HANDSHAKES_PER_S_PER_ORIGIN


@pytest.mark.parametrize("bits", [64, 56, 48])
def test_an_ipv6_site_is_one_origin_however_many_networks_it_has(bits: int) -> None:
    door = Door(0.0)
    networks = {64: "2001:db8:1:1::{:x}", 56: "2001:db8:1:1{:02x}::", 48: "2001:db8:1:{:x}00::"}
    came = admitted(door, [networks[bits].format(n % 250) for n in range(1000)])
    assert came == HANDSHAKES_AT_ONCE_PER_ORIGIN / {64: 4, 56: 2, 48: 1}[bits]


def test_all_together_have_a_bound() -> None:
    door = Door(0.0)
    hosts = [f"2001:db8:{n:x}::1" for n in range(5000)]
    assert admitted(door, hosts) <= HANDSHAKES_AT_ONCE
    assert admitted(door, hosts, 1.0) <= HANDSHAKES_PER_S


def test_many_that_knock_without_end_leave_a_turn_to_who_comes_now_and_then() -> None:
    door, now_s, honest = Door(0.0), 0.0, 0
    for second in range(60):
        for _ in range(20):
            now_s += 1 / 20
            admitted(door, [f"192.0.{n}.1" for n in range(16) for _ in range(20)], now_s)
        honest += door.admits(f"198.51.100.{second}", now_s)
    assert honest == 60


def test_what_is_remembered_of_origins_is_bounded() -> None:
    door = Door(0.0)
    for n in range(3 * accepting._ORIGINS_MAX):
        door.admits(f"10.{n >> 8 & 255}.{n & 255}.1", n / 100)
    assert len(door._by_prefix) <= accepting._ORIGINS_MAX


async def test_a_flood_from_one_origin_costs_its_share_and_others_get_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "HANDSHAKES_AT_ONCE_PER_ORIGIN", 8, raising=False)
    monkeypatch.setattr(accepting, "HANDSHAKES_PER_S_PER_ORIGIN", 0.001, raising=False)
    secured: list[str] = []

    async def count(stream: Stream) -> None:
        secured.append(stream.remote.host)

    node, other = TlsTransport("0.0.0.0", b"n" * 32), TlsTransport("127.0.0.1", b"o" * 32)
    tasks = Supervisor()
    await node.listen(0, count, tasks)
    for _ in range(20):
        try:
            (await other.dial(Address("127.0.0.1", node.port), None, 5.0)).abort()
        except ConnectionLost:
            continue
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", node.port, local_addr=("127.0.1.1", 0), ssl=client_context()
    )
    assert await reader.read() == b""
    writer.close()
    await tasks.close()
    await node.close()
    await other.close()
    assert len(secured) <= 9
    assert secured[-1] == "127.0.1.1"
