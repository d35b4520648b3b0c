"""Clock, entropy, crypto and blocking of a simulation."""

from __future__ import annotations

import asyncio

import pytest

from dhtstore.errors import InvalidSignature
from dhtstore.model.identity import PublicKey
from simulations.seeds import derived_seed
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.clock import EPOCH_UNIX_S, SimClock
from simulations.world.ports.crypto import SimCrypto
from simulations.world.ports.entropy import SimEntropy


def test_the_clock_is_the_loops_and_skew_moves_only_the_wall() -> None:
    loop = VirtualLoop()
    clock = SimClock(loop, skew_s=-30.0)
    run(asyncio.sleep(12), loop)
    assert (clock.monotonic_s(), clock.unix_s()) == (12, EPOCH_UNIX_S + 12 - 30)


def test_entropy_is_given_by_seed_and_label() -> None:
    def drawn(seed: int, label: str) -> tuple[float, bytes]:
        entropy = SimEntropy(seed, label)
        return entropy.rng.random(), entropy.random_bytes(16)

    assert drawn(1, "node 1") == drawn(1, "node 1")
    assert len({drawn(seed, f"node {n}") for seed in range(9) for n in range(9)}) == 81
    assert derived_seed(1, "a") == derived_seed(1, "a") != derived_seed(1, "b")


def test_choices_do_not_disturb_nonces() -> None:
    one, other = SimEntropy(1, "n"), SimEntropy(1, "n")
    one.rng.random()
    assert one.random_bytes(8) == other.random_bytes(8)


def test_crypto_keeps_the_sizes_and_the_failures_of_the_real_one() -> None:
    a, b = SimCrypto(b"a", b"o"), SimCrypto(b"b", b"o")
    assert a.owner.public_key == b.owner.public_key != a.node.public_key != b.node.public_key
    signature = a.node.sign(b"message")
    assert (len(signature), len(a.node.public_key)) == (64, 32)
    assert b.verify(a.node.public_key, b"message", signature)
    assert not b.verify(a.node.public_key, b"massage", signature)
    assert not b.verify(b.node.public_key, b"message", signature)
    assert not b.verify(PublicKey(b"short"), b"message", signature)
    assert a.agree(b.node.public_key) == b.agree(a.node.public_key)
    assert len(a.agree(b.node.public_key)) == 32
    with pytest.raises(InvalidSignature):
        a.agree(PublicKey(bytes(32)))
    mac = a.mac(b"k" * 32, b"one", b"two")
    assert len(mac) == 16
    assert mac == b.mac(b"k" * 32, b"onetwo") != b.mac(b"l" * 32, b"onetwo")


def test_blocking_runs_inline_and_raises_what_the_function_raises() -> None:
    async def main() -> int:
        blocking = InlineBlocking()
        with pytest.raises(ZeroDivisionError):
            await blocking.run(divmod, 1, 0)
        return await blocking.run(int, "7")

    assert run(main(), VirtualLoop()) == 7
