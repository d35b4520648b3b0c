"""What the demo tells while it happens."""

from __future__ import annotations

import filecmp
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dhtstore.cli.demo.network import DemoNode, network
from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.show import emit, print_json
from dhtstore.config import format_size
from dhtstore.errors import DhtstoreError, IntegrityFailure, UnreadableSource
from dhtstore.net.clock import SystemEntropy
from dhtstore.params import GIB, MIB

NAMES: Final = ("A", "B", "C", "D", "E")
REPLICAS: Final = 3
KILLED: Final = 2
GENERATED_BYTES: Final = 64 * MIB


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ``demo --json`` prints."""

    cid: str
    size: int
    holders: list[str]
    killed: list[str]
    getter: str
    put_s: float
    get_s: float
    total_s: float
    identical: bool


class Story:
    """Lines with the seconds since the beginning."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent
        self._started_s = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started_s

    def tell(self, line: str) -> None:
        if not self._silent:
            emit(f"{self.seconds:5.1f} s  {line}")


def tell(common: Common, file: str) -> None:
    """Run the demo; raises what went wrong."""
    story = Story(silent=common.json or common.quiet)
    with tempfile.TemporaryDirectory(prefix="dhtstore-demo-") as path:
        directory = Path(path)
        source = _source(directory, file, story)
        there = shutil.disk_usage(directory).total  # more than that no node may promise
        capacity = min(4 * source.stat().st_size + GIB, there)
        with network(directory, NAMES, capacity) as nodes:
            story.tell(f"five nodes serve on loopback: {', '.join(NAMES)}")
            outcome = _play(story, nodes, source, directory)
    story.tell("stopped the nodes that were left and removed everything")
    if common.json:
        print_json(outcome)


def _source(directory: Path, file: str, story: Story) -> Path:
    if file:
        if not Path(file).is_file():
            raise UnreadableSource(f"{file} is not a file").hinted("the demo stores one file")
        return Path(file)
    source = directory / "noise"
    entropy = SystemEntropy()
    with source.open("wb") as target:
        for _ in range(GENERATED_BYTES // MIB):
            target.write(entropy.random_bytes(MIB))
    story.tell(f"made {format_size(GENERATED_BYTES)} of noise to store")
    return source


def _play(story: Story, nodes: list[DemoNode], source: Path, directory: Path) -> Outcome:
    putter, size = nodes[0], source.stat().st_size
    receipts, put_s = _put(story, putter, source)
    holders = [node for node in nodes if any(r["node"] == node.node for r in receipts)]
    if len(holders) < REPLICAS:
        raise DhtstoreError(f"only {len(holders)} of {REPLICAS} nodes gave a receipt")
    cid = receipts[0]["root"]
    _show_holders(story, nodes, putter, cid)
    killed = holders[:KILLED]
    for node in killed:
        node.kill()
    story.tell(f"killed {_names(killed)} with SIGKILL; {_names(holders[KILLED:])} is left")
    getter = next(node for node in nodes if node not in holders)
    target = directory / "back"
    get_s = _get(story, getter, cid, target, size)
    identical = filecmp.cmp(source, target, shallow=False)
    story.tell("compared them byte by byte: " + ("identical" if identical else "DIFFERENT"))
    if not identical:
        raise IntegrityFailure("what came back is not what was put").hinted(DhtstoreError.hint)
    return Outcome(
        cid=cid,
        size=size,
        holders=[node.name for node in holders],
        killed=[node.name for node in killed],
        getter=getter.name,
        put_s=round(put_s, 3),
        get_s=round(get_s, 3),
        total_s=round(story.seconds, 3),
        identical=identical,
    )


def _put(story: Story, putter: DemoNode, source: Path) -> tuple[list[dict[str, Any]], float]:
    started_s = story.seconds
    options = ("--replicas", str(REPLICAS), "--min-acks", str(REPLICAS))
    result = putter.run("put", *options, source)
    seconds = story.seconds - started_s
    story.tell(f"put on {putter.name}: {_rate(result['size'], seconds)}")
    story.tell(f"its CID is {result['cid']}")
    return result["receipts"], seconds


def _show_holders(story: Story, nodes: list[DemoNode], asked: DemoNode, cid: str) -> None:
    names = {node.node: node.name for node in nodes}
    rows = asked.run("providers", cid)
    known = sorted(names.get(row["node"], row["node"]) for row in rows)
    story.tell(f"verified copies, each with a signed receipt, are on {', '.join(known)}")


def _get(story: Story, getter: DemoNode, cid: str, target: Path, size_bytes: int) -> float:
    started_s = story.seconds
    getter.run("get", cid, "-o", target)
    seconds = story.seconds - started_s
    story.tell(f"got it on {getter.name}, which never had it: {_rate(size_bytes, seconds)}")
    return seconds


def _rate(size_bytes: int, seconds: float) -> str:
    rate = format_size(size_bytes / max(seconds, 0.001))
    return f"{format_size(size_bytes)} in {seconds:.1f} s ({rate}/s)"


def _names(nodes: list[DemoNode]) -> str:
    return " and ".join(node.name for node in nodes)
