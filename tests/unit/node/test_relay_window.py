"""Who finds a block in a window has its bytes, whatever goes meanwhile."""

from __future__ import annotations

from dhtstore.model.cid import Cid
from dhtstore.node.copies.relaying.window import RelayMemory, RelayWindow

BLOCKS = [(Cid.of(data), data) for data in (b"a" * 100, b"b" * 100, b"c" * 100)]


class _Late(dict[bytes, object]):
    """Between the look and what is found, a worker drops it."""

    def __init__(self, window: RelayWindow, blocks: dict[bytes, object]) -> None:
        super().__init__(blocks)
        self._window = window

    def get(self, key: bytes, default: object = None) -> object:
        found = super().get(key, default)
        while len(self):
            self._window.drop_oldest()
        return found


def test_a_block_that_goes_while_it_is_found_is_whole() -> None:
    """It was handed out empty, and the downstream banned an honest holder."""
    window = RelayMemory(1000).window()
    window.keep(BLOCKS)
    window._blocks = _Late(window, dict(window._blocks))  # type: ignore[assignment]
    found = window.get(BLOCKS[1][0])
    assert found is not None
    assert bytes(found) == BLOCKS[1][1]
    assert window.get(BLOCKS[1][0]) is None
