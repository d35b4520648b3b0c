"""A UDP socket on all addresses of this machine, which can answer from the one that was asked.

The kernel sends from the address that its routes prefer.  Whoever asked another one of this
machine gets that answer from a stranger and drops it (RFC 1122 section 4.1.3.5; ip(7), IP_PKTINFO;
RFC 3542 section 6.2).  asyncio's transports only call ``recvfrom`` and ``sendto``, so these two
carry the local address beside that of the peer.
"""

from __future__ import annotations

import socket
from typing import Any, Final, NamedTuple

_IP_PKTINFO: Final = 8  # linux/in.h; a name in Python's socket from 3.12 on
_IPV4_INFO_BYTES: Final = 12  # struct in_pktinfo: interface, local address, that of the header
_IPV6_INFO_BYTES: Final = 20  # struct in6_pktinfo: local address, interface
_ANY_INTERFACE: Final = bytes(4)


class Ends(NamedTuple):
    """Both ends of one datagram: the peer's socket address, and what the kernel tells or is told
    of ours; empty leaves the choice to the kernel."""

    peer: tuple[Any, ...]
    local: bytes


class WideSocket(socket.socket):
    """Bind it to 0.0.0.0 or ::, which takes IPv4 too.  Its addresses are ``Ends``."""

    def __init__(self, family: int) -> None:
        super().__init__(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self._level, self._kind = int(socket.IPPROTO_IPV6), int(socket.IPV6_PKTINFO)
            self._room = socket.CMSG_SPACE(_IPV6_INFO_BYTES)
            self.setsockopt(self._level, socket.IPV6_RECVPKTINFO, 1)
        else:
            self._level, self._kind = int(socket.IPPROTO_IP), _IP_PKTINFO
            self._room = socket.CMSG_SPACE(_IPV4_INFO_BYTES)
            self.setsockopt(self._level, _IP_PKTINFO, 1)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Ends]:
        """As ``socket.recvfrom``, with the end that the datagram came to."""
        data, told, _, peer = self.recvmsg(bufsize, self._room, flags)
        return data, Ends(peer, told[0][2] if told else b"")

    def sendto(self, data: Any, ends: Ends) -> int:  # type: ignore[override]
        """As ``socket.sendto``, from the end that ``ends`` names; raises OSError when that is no
        address of this machine any more."""
        if not ends.local:
            return super().sendto(data, ends.peer)
        told = [(self._level, self._kind, self._from(ends.local))]
        return self.sendmsg((data,), told, 0, ends.peer)

    def _from(self, local: bytes) -> bytes:
        """What makes the kernel send from there, by whatever interface its routes say."""
        if self._level == socket.IPPROTO_IPV6:
            return local[:16] + _ANY_INTERFACE
        return _ANY_INTERFACE + local[4:8] + _ANY_INTERFACE
