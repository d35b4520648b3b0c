"""What comes and goes a second, over the last minutes."""

from __future__ import annotations

from dhtstore.dht.core.idle.flow import Flow
from tests.unit.dht.world import World, play


def test_rates_are_of_the_last_marks() -> None:
    flow = Flow()
    assert flow.rates(5.0) is None
    flow.mark(10.0)
    assert flow.rates(10.5) is None
    flow.packets_in, flow.bytes_in = 20, 2000
    rates = flow.rates(20.0)
    assert rates is not None
    assert (rates.window_s, rates.packets_in, rates.bytes_in) == (10.0, 2.0, 200.0)
    for at_s in (600.0, 1200.0, 1800.0):
        flow.mark(at_s)
    rates = flow.rates(2400.0)
    assert rates is not None
    assert (rates.window_s, rates.packets_in, rates.packets_out) == (1800.0, 0.0, 0.0)


def test_every_datagram_is_counted_on_both_sides() -> None:
    async def scene(world: World) -> None:
        members = await world.grow(5)
        for member in members:
            await member.dht.lookup(b"k" * 20, timeout_s=15)
        flows = [member.dht.rpc.channel.flow for member in members]
        assert sum(flow.packets_out for flow in flows) == world.net.sent_datagrams
        assert sum(flow.packets_in for flow in flows) == world.net.sent_datagrams
        assert sum(flow.bytes_in for flow in flows) == sum(flow.bytes_out for flow in flows) > 0
        rates = members[0].dht.traffic()
        assert rates is not None
        assert rates.packets_out > 0

    play(scene)
