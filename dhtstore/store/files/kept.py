"""How much of a target an earlier run left, for whoever only wants to tell it."""

from __future__ import annotations

import os
import stat

from dhtstore.errors import DhtstoreError
from dhtstore.model.cid import Cid
from dhtstore.store.files.journal import Journal
from dhtstore.store.files.names import on_disk
from dhtstore.store.files.output import claimed_spans
from dhtstore.store.files.partial import partial_name
from dhtstore.store.files.tree_claims import TreeClaims


def kept_bytes(dir_fd: int, target: str, root: Cid, part: bytes = b"") -> int:
    """What the next run for ``root``, or that ``part`` of it, will find there; 0 where it
    cannot be told."""
    name = partial_name(dir_fd, target)
    try:
        status = os.stat(on_disk(name), dir_fd=dir_fd, follow_symlinks=False)
        journal = Journal(dir_fd, f"{name}.map", root, part)
    except (OSError, DhtstoreError):
        return 0
    try:
        if stat.S_ISDIR(status.st_mode):
            return TreeClaims(journal.entries).size_bytes
        return claimed_spans(journal.entries).size_bytes
    finally:
        journal.close()
