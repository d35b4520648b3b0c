"""What strangers can make us compute: bounded for each prefix and for all, and fair."""

from __future__ import annotations

from dhtstore.dht.engine.sessions import Outside, Sessions
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import (
    CHALLENGES_PER_LINE_PER_S,
    CHALLENGES_PER_S,
    CHALLENGES_PER_SUBNET_PER_S,
    COLD_KEYS_PER_S,
    COOKIE_KEYS_PER_S,
    STRANGER_KEYS_PER_S,
)
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
            challenge = envelope.parse_challenge(told or b"")
            shown = challenge.cookie if challenge else b"none was given"
        sender = PublicKey(self.strangers.to_bytes(32, "big"))
        opened = Opened(0, sender, shown, b"f" * 30)
        check, _ = self.sessions.check_request(opened, b"d" * 100, source, now)
        return check is Outside.FORGED  # agreed, and then the MAC was wrong


def test_a_thousand_ipv6_networks_get_a_bounded_number_of_agreements_at_once() -> None:
    flooded = Flooded()
    taken = sum(
        flooded.ask(f"2a00:{n:x}:1:1::1", 1000.0) for n in range(1, 1001) for _ in range(20)
    )
    assert taken <= STRANGER_KEYS_PER_S  # 19,999 before


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
    assert taken <= COLD_KEYS_PER_S
    assert flooded.ask("92.1.1.1", 1001.0)


def test_prefixes_are_forgotten_one_by_one_and_are_never_many() -> None:
    flooded = Flooded()
    for number in range(20_000):
        flooded.ask(f"2a00:{number:x}:1:1::1", 1000.0 + number / 1000)
    assert len(flooded.sessions._rations) <= 4096


def test_strangers_of_all_kinds_get_200_agreements_in_any_second() -> None:
    """Spoofed and proved ones, of as many networks as they like, after a day of quiet."""
    flooded, taken = Flooded(), list[float]()
    for step in range(4000):
        now = 100_000.0 + step / 1000
        for host in (f"91.{step % 250}.{step // 250}.1", f"2a00:{step:x}:1:1::1"):
            for cookie in (False, True):
                if flooded.ask(host, now, cookie=cookie):
                    taken.append(now)
    assert len(taken) > 2 * STRANGER_KEYS_PER_S, "what there is is used"
    for begun in taken:
        assert sum(begun <= now < begun + 1 for now in taken) <= STRANGER_KEYS_PER_S


def test_challenges_are_few_for_each_address_each_network_and_all() -> None:
    sessions = Flooded().sessions

    def challenged(hosts: list[str], now: float) -> int:
        sent = [sessions.challenge(b"m" * 20, Address(host, 7400), now) for host in hosts]
        return len(sent) - sent.count(None)

    assert challenged(["91.1.1.1"] * 5000, 1000.0) == CHALLENGES_PER_LINE_PER_S
    of_one_network = [f"92.1.1.{n % 250}" for n in range(5000)]
    assert challenged(of_one_network, 1001.0) == CHALLENGES_PER_SUBNET_PER_S
    of_all = [f"{60 + n // 62500}.{n // 250 % 250}.{n % 250}.1" for n in range(9000)]
    assert challenged(of_all, 1002.0) == CHALLENGES_PER_S
    assert len(sessions._challenges) <= 2 * CHALLENGES_PER_S
    assert challenged(["91.1.1.1"], 1003.0) == 1
