"""Text is UTF-8 at both ends of a command, whatever the locale says: the same arguments name the
same things everywhere, and what is printed can be given back.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def use_utf8() -> None:
    """Take arguments, environment and names of files as UTF-8, and print so.

    Bytes that are not UTF-8 become surrogates (PEP 383): they go to the system as they came, are
    no text to any operation, and are printed as escapes.  Python decides at its start how it
    reads its arguments (UTF-8 mode, PEP 540; from 3.15 on always, PEP 686), so where the locale
    had a say it starts again.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
