"""Where content-defined cutting cuts: buzhash as Kubo's (``chunker/buzhash.go`` in ipfs/boxo).

A chunk ends behind the first window of 32 bytes, from 128 KiB on, whose hash ends in 17 zero bits;
else after 512 KiB.  The hash of a window is the exclusive or of what the table has for each of its
bytes, rotated left by how far the byte is from the window's end.

Byte by byte Python does 3 MB/s.  So the hashes of 64 KiB are made at once: four long numbers
hold the four bytes of the 32-bit hashes of all places, a byte for each place ("planes"), and the
window is doubled from 1 to 8 bytes by shifting the planes by places and bits.  From 8 to 32 a
rotation is by whole bytes, which only changes which plane is taken.
"""

from __future__ import annotations

from typing import Final

from dhtstore.params import BUZHASH_MAX_BYTES, BUZHASH_MIN_BYTES

WINDOW_BYTES: Final = 32
_AT_ONCE_BYTES: Final = 64 * 1024  # the planes of so many places stay in the processor's cache
_PLANES: Final = range(4)
_DOUBLINGS: Final = (1, 2, 4)

_WORDS: Final = """
    6236e7d5 10279b0b 72818182 dc526514 2fd41e3d 777ef8c8 83ee5285 2c8f3637 2f049c1a 57df9791
    9207151f 9b544818 74eef658 2028ca60 0271d91a 27ae587e ecf9fa5f 236e71cd f43a8a2e 0bb13380
    9e57912c 89a26cdb 9fcf3d71 a86da6f1 9c49f376 346aecc7 f094a9ee ea99e9cb b01713c6 088acffb
    2960a0fb 344a626c 7ff22a46 6d7a1aa5 6a714916 41d454ca 8325b830 0b65f563 447fecca f9d0ea5e
    c1d9d3d4 cb5ec574 55aae902 86edc0e7 0d3a9e33 e70dc1e1 e3c5f639 9b43140a c6490ac5 5e4030fb
    8e976dd5 a87468ea f830ef6f cc1ed5a5 611f4e78 ddd11905 f2613904 566c67b9 905a5ccc 7b37b3a4
    4b53898a 6b8fd29d aad81575 511be414 3cfac1e7 8029a179 d40efeda 07380e02 dc9beffd 2d049082
    99bc7831 ff5002a8 21ce7646 01cd049b 0f43994f c3c6c5a5 bbda5f50 0ec15ec7 9adb19b6 0c1e80b9
    b9b52968 ae162419 2542b405 91a42e9d 6be0f668 6ed7a6b9 bc2777b4 e162ce56 4266aad5 60fdb704
    66f832a5 9595f6ca fee83ced 55228d99 12bf0e28 66896459 0789afda 0282baa8 2367a343 591491b0
    2ff1a4b1 410739b6 9b7055a0 2e0eb229 24fc8252 3327d3df b0782669 1c62e069 7f503101 f50593ae
    d9eb275d e00eb678 5917ccde 97b9660a dd06202d ed229e22 a9c735bf d6316fe6 6fc72e4c 0206dfa2
    d6b15c5a 69d87b49 09c97745 13445d61 35a975aa 859aa9b9 65380013 d1fb6391 c29255fd 784a3b91
    b9e74c26 63ce4d40 c07cbe9e e6e4529e 0fb3632f 9438d9c9 682f94a8 f8fd4611 257ec1ed 475ce3d6
    60ee2db1 2afab002 2b9e4878 86b340de 1482fdca fe41b3bf d4a412b0 e09db98c c1af5d53 7e55e25f
    d3346b38 b7a12cbd 9c6827ba 71f78bee 8c3a0f52 150491b0 f26de912 233e3a4e d309ebba a0a9e0ff
    ca2b5921 eeb9893c 33829e88 9870cc2a 23c4b9d0 eba32ea3 bdac4d22 3bc8c44c 1e8d0397 f9327735
    783b009f 0eb83742 2621dc71 ed017d03 5c760aa1 5a69814b 96e3047f a93c9cde 615c86f5 b4322aa5
    4225534d 0d2e2de3 ccfccc4b 0bac2a57 f0a06d04 bc78d737 f2d1f766 f5a7953c bcdfda85 5213b7d5
    bce8a328 d38f5f18 db094244 fe571253 317fa7ee 4a324f43 3ffc39d9 51b3fa8e 7a4bee9f 78bbc682
    9f5c0350 02fe286c 245ab686 ed6bf7d7 0ac4988a 3fe010fa c65fe369 a45749cb 2b84e537 de9ff363
    20540f9a aa8c9b34 5bc476b3 1d574bd7 929100ad 4721de4d 27df1b05 58b18546 b7e76764 df904e58
    97af57a1 bd4dc433 a6256dfd f63998f3 f1e05833 e20acf26 f57fd9d6 90300b4d 89df4290 68d01cbc
    cf893ee3 cc42a046 778e181b 67265c76 e981a4c4 82991da1 708f7294 e6e2ae62 fc441870 95e1b0b6
    0445f825 5a93b47f 5e9cf4be 84da71e7 9d9582b0 9bf835ef 591f61e2 43325985 5d2de32e 8d8fbf0f
    95b30f38 07ad5b6e 4e934edf 3cd4990e 9053e259 5c41857d
"""
TABLE: Final = tuple(int(word, 16) for word in _WORDS.split())
_PLANE_TABLES: Final = [bytes(word >> 8 * plane & 0xFF for word in TABLE) for plane in _PLANES]


def _everywhere(byte: int) -> int:
    return int.from_bytes(bytes([byte]) * (_AT_ONCE_BYTES + 2 * WINDOW_BYTES), "little")


_HIGH: Final = {bits: _everywhere(0xFF << bits & 0xFF) for bits in _DOUBLINGS}
_LOW: Final = {bits: _everywhere((1 << bits) - 1) for bits in _DOUBLINGS}
_LOWEST_BIT: Final = _everywhere(1)


def cut(data: memoryview) -> int:
    """How long the first chunk of ``data`` is, which is as much as there is, or at least
    ``BUZHASH_MAX_BYTES``."""
    end = min(len(data), BUZHASH_MAX_BYTES)
    at = BUZHASH_MIN_BYTES
    while at < end:
        upto = min(at + _AT_ONCE_BYTES, end)
        found = _first_zero(bytes(data[at - WINDOW_BYTES : upto]))
        if found is not None:
            return at + found
        at = upto
    return end


def _first_zero(data: bytes) -> int | None:
    """Behind how many bytes, after the first 32, a window ends whose hash ends in 17 zeros."""
    h8 = _hashes_of_8(data)
    ends = h8[0] ^ h8[3] << 64 ^ h8[2] << 128 ^ h8[1] << 192
    ends |= h8[1] ^ h8[0] << 64 ^ h8[3] << 128 ^ h8[2] << 192
    ends |= (h8[2] ^ h8[1] << 64 ^ h8[0] << 128 ^ h8[3] << 192) & _LOWEST_BIT
    found = ends.to_bytes(len(data) + 2 * WINDOW_BYTES, "little").find(
        0, WINDOW_BYTES - 1, len(data)
    )
    return None if found < 0 else found + 1 - WINDOW_BYTES


def _hashes_of_8(data: bytes) -> list[int]:
    """The planes of the hashes of the 8 bytes up to each place."""
    planes = [int.from_bytes(data.translate(table), "little") for table in _PLANE_TABLES]
    for bits in _DOUBLINGS:  # the earlier half is ``bits`` places, and so as many bits, behind
        high, low = _HIGH[bits], _LOW[bits]
        planes = [
            planes[plane]
            ^ (planes[plane] << 9 * bits & high)
            ^ (planes[plane - 1] << 9 * bits - 8 & low)
            for plane in _PLANES
        ]
    return planes
