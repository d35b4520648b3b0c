"""What every Crypto keeps to, real or simulated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dhtstore.errors import InvalidSignature
from dhtstore.model.identity import PublicKey
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.ports import Crypto
from simulations.world.ports.crypto import SimCrypto

Make = Callable[[bytes], Crypto]


def _real(seed: bytes) -> Crypto:
    return Ed25519Crypto(seed.ljust(32, b"n"), seed.ljust(32, b"o"))


def _simulated(seed: bytes) -> Crypto:
    return SimCrypto(seed, seed)


@pytest.fixture(params=[_real, _simulated], ids=["ed25519", "simulated"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def test_keys_follow_from_their_seed(make: Make) -> None:
    assert make(b"a").node.public_key == make(b"a").node.public_key
    assert make(b"a").node.public_key != make(b"b").node.public_key
    assert make(b"a").node.public_key != make(b"a").owner.public_key
    assert len(make(b"a").node.public_key) == 32


def test_only_the_signer_s_own_message_verifies(make: Make) -> None:
    a, b = make(b"a"), make(b"b")
    signature = a.node.sign(b"message")
    assert len(signature) == 64
    assert b.verify(a.node.public_key, b"message", signature)
    assert not b.verify(a.node.public_key, b"massage", signature)
    assert not b.verify(b.node.public_key, b"message", signature)
    assert not b.verify(a.owner.public_key, b"message", signature)
    flipped = signature[:-1] + bytes((signature[-1] ^ 1,))
    assert not b.verify(a.node.public_key, b"message", flipped)


def test_verifying_rubbish_is_false_not_an_error(make: Make) -> None:
    a = make(b"a")
    signature = a.node.sign(b"m")
    for key, value in ((b"", signature), (b"x" * 31, signature), (a.node.public_key, b"")):
        assert a.verify(PublicKey(key), b"m", value) is False


def test_two_nodes_agree_and_a_third_does_not(make: Make) -> None:
    a, b, c = make(b"a"), make(b"b"), make(b"c")
    shared = a.agree(b.node.public_key)
    assert shared == b.agree(a.node.public_key)
    assert len(shared) == 32
    assert shared not in (c.agree(a.node.public_key), c.agree(b.node.public_key))


@pytest.mark.parametrize("key", [bytes(32), b"", b"short"], ids=["small order", "empty", "short"])
def test_unusable_keys_are_refused(make: Make, key: bytes) -> None:
    with pytest.raises(InvalidSignature):
        make(b"a").agree(PublicKey(key))


def test_a_mac_depends_on_key_and_message_not_on_how_it_is_cut(make: Make) -> None:
    crypto = make(b"a")
    mac = crypto.mac(b"k" * 16, b"one", b"two")
    assert len(mac) == 16
    assert mac == crypto.mac(b"k" * 16, b"onetwo")
    assert mac != crypto.mac(b"l" * 16, b"onetwo")
    assert mac != crypto.mac(b"k" * 16, b"onetwO")
