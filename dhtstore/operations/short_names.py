"""What people call their own content in place of its CID: the name of a put or pin, or as much of
a CID as only one of theirs begins with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dhtstore.errors import AmbiguousName, InvalidCid, NotHere
from dhtstore.model.cid import Cid, misspelt

PREFIX_MIN_CHARS: Final = 10  # all CIDs of files begin with the same 7 ("bafkrei", "bafybei")
_COMPARED_MAX: Final = 2_000  # of which the closest is looked for: takes 20 ms
_LISTED_MAX: Final = 20
_ALIKE_MIN: Final = 0.75  # of 1, as difflib counts: two slips in eight letters


class Known(NamedTuple):
    """Something put or pinned here; ``when`` for people, of several with one name."""

    cid: str
    name: str
    when: str = ""


def resolved(text: str, known: Sequence[Known]) -> str:
    """``text`` (NAME, NAME/path, PREFIX or PREFIX/path) with the CID in place of what stands for
    it.  A name is taken as long as possible, and before a prefix.

    Raises AmbiguousName where several CIDs fit, and InvalidCid, which says what is wrong, where
    none does.
    """
    for head, path in _splits(text):
        found = [each for each in known if each.name == head]
        if found:
            return _only(found, head) + path
    head, slash, path = text.partition("/")
    if len(head) >= PREFIX_MIN_CHARS:
        found = [each for each in known if each.cid.startswith(head)]
        if found:
            return _only(found, head) + slash + path
    raise _unknown(head, known)


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Each way to see a name and a path in it, the longest name first: names may have slashes."""
    at = len(text)
    while at > 0:
        yield text[:at], text[at:]
        at = text.rfind("/", 0, at)


def _only(found: Sequence[Known], head: str) -> str:
    cids = {each.cid: each for each in found}
    if len(cids) > 1:
        told = [f"{each.name or 'without a name'} {each.when}".strip() for each in cids.values()]
        shown = dict(list(zip(cids, told, strict=True))[-_LISTED_MAX:])
        several = AmbiguousName(
            f"{head!r} stands for {len(cids)} of what was put here", causes=shown
        )
        raise several.hinted("say which by its CID, or as much of it as no other begins with")
    return found[0].cid


def _unknown(head: str, known: Sequence[Known]) -> InvalidCid:
    """A slip of the pen in a CID, or else in a name."""
    newest, like_cid = known[-_COMPARED_MAX:], bool(misspelt(head))
    likely = [each.cid if like_cid else each.name for each in newest]
    close = difflib.get_close_matches(head, dict.fromkeys(likely), n=1, cutoff=_ALIKE_MIN)
    wrong = _problem(head)
    does = "begins so" if like_cid else "has that name"
    error = InvalidCid(f"{wrong}; nothing that was put or pinned here {does}")
    if close:
        return error.hinted(f"did you mean {close[0]}?")
    told = like_cid or wrong.hint != InvalidCid.hint
    return error.hinted(wrong.hint if told else NotHere.hint)


def _problem(head: str) -> InvalidCid:
    try:
        Cid.parse(head)
    except InvalidCid as error:
        return error
    return InvalidCid(f"not a CID: {head[:80]!r}")
