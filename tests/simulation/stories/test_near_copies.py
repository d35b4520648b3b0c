"""A put of what differs little from what holders have costs the difference."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

from dhtstore.content.builders.importer import UNIXFS_BUZHASH
from dhtstore.node.importing.manner import Manner
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.params import MIB
from tests.simulation.harness import check_receipts
from tests.simulation.stories.test_pipeline import Scene, play

FIRST = random.Random(8).randbytes(24 * MIB)
SECOND = FIRST[: 10 * MIB] + b"a few words more" + FIRST[10 * MIB :]
EVERYBODY = 5  # of the scene: whoever gets the second version has the first


async def put_cut(scene: Scene, content: bytes) -> PutOutcome:
    async def once() -> AsyncIterator[bytes]:
        yield content

    return await scene.client.uploader().put(
        once(),
        name="b",
        replicas=EVERYBODY,
        min_acks=EVERYBODY,
        progress=lambda progress: None,
        manner=Manner(profile=UNIXFS_BUZHASH),
    )


def test_another_version_is_sent_as_its_difference() -> None:
    """Through a pipeline: one of the holders gets it from the uploader, the others from each
    other."""
    known = set(UNIXFS_BUZHASH.chunks(FIRST, ended=True))
    later = UNIXFS_BUZHASH.chunks(SECOND, ended=True)
    new_bytes = sum(len(chunk) for chunk in later if chunk not in known)
    assert 0 < new_bytes < MIB

    async def story(scene: Scene) -> None:
        first = await put_cut(scene, FIRST)
        sent = scene.sent_bytes(scene.client)
        second = await put_cut(scene, SECOND)
        assert second.cid != first.cid
        check_receipts(scene.lab, second, copies=EVERYBODY)
        more_bytes = scene.sent_bytes(scene.client) - sent
        assert new_bytes <= more_bytes < new_bytes + len(SECOND) / 50

    play(story)
