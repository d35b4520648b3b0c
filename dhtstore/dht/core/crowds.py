"""Whose addresses stand in a routing table more often than their share.

A share bites only where places are contended: whoever runs many nodes behind one address keeps
all of them in the table until others want the place.  Then the crowd gives way, so that one
address can never hold a full bucket (Kademlia has no such limit; libp2p and BEP 42 do).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dhtstore.dht.core.peer import Peer, site_of, subnet_of
from dhtstore.model.contact import local_range
from dhtstore.params import NODES_PER_SITE_MAX


class Crowds:
    """Counts the peers of each site (``peer.site``: an IPv4 address or an IPv6 /56).

    Peers without a site (loopback and private addresses) and those of our own sites are never a
    crowd: whoever shares our roof needs no table to harm us.
    """

    __slots__ = ("_counts", "_local", "_own", "_own_subnets")

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._own: frozenset[bytes] = frozenset()
        self._own_subnets: frozenset[bytes] = frozenset()
        self._local: frozenset[str] = frozenset()

    def set_own(self, hosts: Iterable[str]) -> None:
        """The IP literals at which this node is itself."""
        hosts = list(hosts)
        self._own = frozenset(map(site_of, hosts))
        self._own_subnets = frozenset(subnet_of(site) for host in hosts if (site := site_of(host)))
        self._local = frozenset(map(local_range, hosts))

    def followed(self, named: Iterable[Peer], told_by: Peer) -> list[Peer]:
        """Those whom ``told_by`` may lead us to: to no local address, unless it or we ourselves
        are in that range (``model.contact.followable``)."""
        leads = told_by.local_range
        return [one for one in named if one.local_range == leads or self.within_reach(one)]

    def within_reach(self, peer: Peer) -> bool:
        """Whether a stranger's word may lead us there, whoever it is."""
        return not peer.local_range or peer.local_range in self._local

    def at_home(self, peer: Peer) -> bool:
        """Whether it is of our own sites, or at an address that is nobody's alone."""
        return not peer.site or peer.site in self._own

    def near(self, peer: Peer) -> bool:
        """Whether it is at home or in our own /24 or /48: a network of many nodes in one rack, or
        in one room, must find itself at once."""
        return not peer.site or peer.subnet in self._own_subnets

    def clear(self) -> None:
        """The table was emptied."""
        self._counts.clear()

    def enter(self, peer: Peer) -> None:
        """``peer`` was put into the table."""
        if peer.site:
            self._counts[peer.site] = self._counts.get(peer.site, 0) + 1

    def leave(self, peer: Peer) -> None:
        """``peer`` went from the table."""
        if peer.site:
            left = self._counts[peer.site] - 1
            if left:
                self._counts[peer.site] = left
            else:
                del self._counts[peer.site]

    def has_share(self, peer: Peer) -> bool:
        """Whether one more peer of that site is still within the site's share."""
        return self._counts.get(peer.site, 0) < NODES_PER_SITE_MAX or peer.site in self._own

    def giving_way(self, peers: Sequence[Peer], newcomer: Peer) -> int:
        """Which of a full bucket's ``peers`` makes room for ``newcomer``: the first whose site
        has more than its share; -1 if none has, or the newcomer's site would then."""
        if self._counts and self.has_share(newcomer):
            for at, peer in enumerate(peers):
                over = self._counts.get(peer.site, 0) > NODES_PER_SITE_MAX
                if over and peer.site not in self._own:
                    return at
        return -1
