"""What strangers can make us compute: bounded for each prefix and for all, and fair."""

from __future__ import annotations

from dhtstore.dht.engine.sessions import Outside, Sessions
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import COLD_KEYS_PER_S, COOKIE_KEYS_PER_S
from dhtstore.wire import envelope
from dhtstore.wire.envelope import Opened
from simulations.world.ports.crypto import SimCrypto

NETWORK = Network("n")


class Flooded:
    """A node's sessions; counts agreements."""

    def __init__(self) -> None:
        self.crypto = SimCrypto(b"a", b"a")
        self.sessions = Sessions(NETWORK, self.crypto, self.crypto.node.public_key, b"s" * 32)
        self.strangers = 0

    def ask(self, host: str, now: float, *, cookie: bool = True) -> bool:
        """Whether a new stranger there got an agreement."""
        self.strangers += 1
        source = Address(host, 7400)
        shown = b""
        if cookie:
            told = self.sessions.challenge(b"m" * 20, source, now)
            challenge = envelope.parse_challenge(told)
            assert challenge is not None
            shown = challenge.cookie
        sender = PublicKey(self.strangers.to_bytes(32, "big"))
        opened = Opened(0, sender, shown, b"f" * 30)
        check, _ = self.sessions.check_request(opened, b"d" * 100, source, now)
        return check is Outside.FORGED  # agreed, and then the MAC was wrong


def test_a_thousand_ipv6_networks_get_a_bounded_number_of_agreements_at_once() -> None:
    flooded = Flooded()
    taken = sum(
        flooded.ask(f"2a00:{n:x}:1:1::1", 1000.0) for n in range(1, 1001) for _ in range(20)
    )
    assert taken <= 600  # 19,999 before


def test_the_networks_of_one_company_share_what_one_gets() -> None:
    flooded = Flooded()
    taken = sum(flooded.ask(f"2a00:1:1:{n:x}::1", 1000.0) for n in range(1, 5001))
    assert taken <= 2 * COOKIE_KEYS_PER_S


def test_a_newcomer_gets_in_while_a_thousand_networks_flood() -> None:
    flooded, refused = Flooded(), 0
    for second in range(1, 31):
        for network in range(1, 1001):
            flooded.ask(f"2a00:{network:x}:1:1::1", 1000.0 + second + network / 1001)
        refused += not flooded.ask(f"93.{second}.1.1", 1001.0 + second)
    assert refused <= 1


def test_a_spoofed_flood_costs_cookies_and_starves_nobody() -> None:
    flooded = Flooded()
    taken = sum(
        flooded.ask(f"91.{n % 200}.{n // 200}.1", 1000.0, cookie=False) for n in range(9999)
    )
    assert taken <= 2 * COLD_KEYS_PER_S
    assert flooded.ask("92.1.1.1", 1000.0)


def test_prefixes_are_forgotten_one_by_one_and_are_never_many() -> None:
    flooded = Flooded()
    for number in range(20_000):
        flooded.ask(f"2a00:{number:x}:1:1::1", 1000.0 + number / 1000)
    assert len(flooded.sessions._rations) <= 4096
