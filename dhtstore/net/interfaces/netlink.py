"""Messages of rtnetlink(7) about addresses: the question, and what its answers say.

The C library's getifaddrs asks the same, but hides which addresses are on their way in or out,
and cannot tell when they change.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_ALIGN: Final = 4

_DONE, _ERROR, _NEW_ADDRESS, _GET_ADDRESS = 3, 2, 20, 22  # linux/netlink.h, linux/rtnetlink.h
_REQUEST, _DUMP = 0x1, 0x300
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8  # linux/if_addr.h
_FAILED, _DEPRECATED, _TENTATIVE = 0x08, 0x20, 0x40
_TEMPORARY: Final = 0x01  # of IPv6; of IPv4 it only says that there are several in one subnet
_IPV4_BYTES: Final = 4


def question() -> bytes:
    """What asks the kernel for every address of every interface."""
    body = _ADDRESS.pack(0, 0, 0, 0, 0)
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, _GET_ADDRESS, _REQUEST | _DUMP, 0, 0) + body


def is_last(answer: bytes) -> bool:
    """Whether no further part of the answers follows; raises OSError if the kernel refuses."""
    for kind, body in _messages(answer):
        if kind == _ERROR:
            number = -struct.unpack_from("=i", body)[0]
            raise OSError(number, os.strerror(number))
        if kind == _DONE:
            return True
    return False


def hosts_in(answer: bytes) -> Iterator[str]:
    """The addresses in one part of the answers that others can count on: not those that are
    still being tried for, on their way out, or made for privacy and soon gone (RFC 8981)."""
    for kind, body in _messages(answer):
        if kind != _NEW_ADDRESS:
            continue
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        flags = int.from_bytes(attributes.get(_IFA_FLAGS, body[2:3]), sys.byteorder)
        packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS, b"")
        unusable = _FAILED | _DEPRECATED | _TENTATIVE
        if len(packed) != _IPV4_BYTES:
            unusable |= _TEMPORARY
        if packed and not flags & unusable:
            yield str(ipaddress.ip_address(packed))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[max(_aligned(length), _HEADER.size) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[max(_aligned(length), _ATTRIBUTE.size) :]


def _aligned(length: int) -> int:
    return (length + _ALIGN - 1) // _ALIGN * _ALIGN
