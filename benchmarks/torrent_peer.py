"""One libtorrent peer as a process of its own: the rival that ``get`` is measured against.

``python -m benchmarks.torrent_peer seed FILE TORRENT`` writes the torrent, prints its port
and seeds until stdin closes.  ``... leech TORRENT PORT DIRECTORY`` fetches the file and
prints two figures: the seconds from adding the torrent to the last verified piece, and those from
the first byte received, since libtorrent waits about half a second before it connects.
Its default settings, but no encryption, no DHT, plain TCP: larger buffers brought nothing here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent as lt

ENCRYPTION_DISABLED = 2  # pe_settings.pe_disabled
POLL_S = 0.01
DEADLINE_S = 600.0

SETTINGS: Any = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": ENCRYPTION_DISABLED,
    "out_enc_policy": ENCRYPTION_DISABLED,
    "alert_mask": 0,
}


def seed(source: Path, torrent: Path) -> None:
    """Hash ``source``, write ``torrent``, print the listening port, seed until stdin closes."""
    torrent.write_bytes(_torrent_of(source))
    session = lt.session(SETTINGS)
    handle = session.add_torrent(_parameters(torrent, source.parent, seed_mode=True))
    _wait(lambda: session.listen_port() != 0 and handle.status().is_seeding)
    print(session.listen_port(), flush=True)
    sys.stdin.read()


def leech(torrent: Path, port: int, directory: Path) -> None:
    """Fetch into ``directory`` and print how long it took, with and without connecting."""
    session = lt.session(SETTINGS)
    _wait(lambda: session.listen_port() != 0)
    started_s = time.perf_counter()
    handle = session.add_torrent(_parameters(torrent, directory, seed_mode=False))
    handle.connect_peer(("127.0.0.1", port))
    _wait(lambda: handle.status().total_payload_download > 0)
    connected_s = time.perf_counter()
    _wait(lambda: handle.status().is_seeding)
    ended_s = time.perf_counter()
    print(f"{ended_s - started_s:.4f} {ended_s - connected_s:.4f}", flush=True)


def _torrent_of(source: Path) -> bytes:
    files = lt.list_files(str(source))
    creator = lt.create_torrent(files, 0, lt.create_torrent.v1_only)
    lt.set_piece_hashes(creator, str(source.parent))
    return bytes(lt.bencode(creator.generate()))


def _parameters(torrent: Path, directory: Path, *, seed_mode: bool) -> lt.add_torrent_params:
    """Started at once, not queued by the session; a seeder trusts its file."""
    parameters = lt.load_torrent_file(str(torrent))
    parameters.save_path = str(directory)
    parameters.flags = lt.torrent_flags.seed_mode if seed_mode else 0
    return parameters


def _wait(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > deadline_s:
            raise SystemExit("the torrent did not finish in time")
        time.sleep(POLL_S)


def main() -> None:
    role, *arguments = sys.argv[1:]
    if role == "seed":
        seed(Path(arguments[0]), Path(arguments[1]))
    else:
        leech(Path(arguments[0]), int(arguments[1]), Path(arguments[2]))


if __name__ == "__main__":
    main()
