"""What is told of seeds: keys at the first meeting, and which were of no use."""

from __future__ import annotations

from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.show import remark, say
from dhtstore.model.identity import PublicKey
from dhtstore.node.flows.join import Joined


def show_seed(common: Common, seed: str, key: PublicKey) -> None:
    """Told by whoever pins it; to a program the result of ``join`` tells it."""
    if common.json:
        return
    remark(common, f"seed {seed} has key {key.hex()}; pinned from now on", warning=True)


def tell_failures(common: Common, joined: Joined) -> None:
    """Of seeds that did not let us in, though others did."""
    for seed, reason in joined.failures.items():
        say(common, f"seed {seed} is of no use: {reason}")
