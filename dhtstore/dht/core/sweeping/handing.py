"""Who gets which records of many keys: each goes to the K nodes closest to its key.

In turns.  In the first each node gets one datagram; who answers gets all of its others in the next,
and who does not, twice, gets none: in its place come the next closest, so that a node that is gone
costs two time-outs for all keys together, and no copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from dhtstore.dht.core.sweeping.seen import SeenNodes

Part = tuple[bytes, list[int]]  # the id of a node, and the places of the keys whose records it gets


class Handing:
    """``fit`` records go into one datagram.  ``verdicts`` are what became of each key's record, by
    id of the node: "" where that did not answer.  ``gone`` are the nodes that never did."""

    def __init__(self, seen: SeenNodes, keys: Sequence[bytes], fit: int) -> None:
        self._seen, self._keys, self._fit = seen, keys, fit
        self.verdicts: list[dict[bytes, str]] = [{} for _ in keys]
        self.gone: set[bytes] = set()
        self._heard: set[bytes] = set()
        self._alone: set[bytes] = set()  # those that take one record a datagram
        self._again: set[bytes] = set()
        self._waiting: dict[bytes, list[int]] = {}
        # In their order, which a set of bytes has another of in each process.
        self._given = [{node.id: None for node in seen.closest(key)} for key in keys]
        for at, nodes in enumerate(self._given):
            for node in nodes:
                self._waiting.setdefault(node, []).append(at)

    def take(self, node: bytes) -> list[int]:
        """What waits for that node is given to it in another way: the places of the keys."""
        return self._waiting.pop(node, [])

    def turn(self) -> list[Part]:
        """What is to be sent now; nothing is left where there is nothing."""
        parts: list[Part] = []
        for node in list(self._waiting):
            places = self._waiting.pop(node)
            fit = 1 if node in self._alone else self._fit
            if node not in self._heard and len(places) > fit:
                places, self._waiting[node] = places[:fit], places[fit:]
            parts += [(node, places[at : at + fit]) for at in range(0, len(places), fit)]
        return parts

    def told(self, part: Part, verdicts: Sequence[str]) -> None:
        """A node answered with a verdict for each key of its part."""
        node, places = part
        self._heard.add(node)
        for at, verdict in zip(places, verdicts, strict=True):
            self.verdicts[at][node] = verdict

    def one_at_a_time(self, part: Part) -> None:
        """A node answered that it does not know datagrams with several records."""
        node, places = part
        if node in self._alone:  # it has said so of a single one, too
            self.told(part, [""] * len(places))
            return
        self._heard.add(node)
        self._alone.add(node)
        self._waiting.setdefault(node, []).extend(places)

    def silent(self, part: Part) -> None:
        """A node did not answer: it is asked once more, since datagrams get lost; then its keys go
        to those that come after it."""
        node, places = part
        if node not in self._again:
            self._again.add(node)
            self._waiting[node] = places + self._waiting.get(node, [])
            return
        if node not in self._heard:
            self.gone.add(node)
            places = [*places, *self.take(node)]
        for at in places:
            self.verdicts[at][node] = ""
            self._give_to_next(at)

    def _give_to_next(self, at: int) -> None:
        """To the closest that has nothing to do with that key yet, while it is among the K closest
        of those that may still answer."""
        silent = {node for node, verdict in self.verdicts[at].items() if not verdict}
        for node in self._seen.closest(self._keys[at], self.gone | silent):
            if node.id not in self._given[at]:
                self._given[at][node.id] = None
                self._waiting.setdefault(node.id, []).append(at)
                return
