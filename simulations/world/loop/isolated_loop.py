"""The half of an event loop that a simulation refuses: whatever would touch the machine."""

from __future__ import annotations

import asyncio
from typing import Any

from simulations.errors import EscapedSimulation

_THREADS = "threads"
_NAMES = "name resolvers"
_SOCKETS = "real sockets"
_PROCESSES = "pipes or processes"
_SIGNALS = "signals"


def _refused(kind: str) -> Any:
    def refuse(self: object, *args: object, **options: object) -> Any:
        raise EscapedSimulation(f"there are no {kind} in a simulation")

    return refuse


class IsolatedLoop(asyncio.AbstractEventLoop):
    """Every method that needs the operating system raises EscapedSimulation."""

    run_in_executor = _refused(_THREADS)
    set_default_executor = _refused(_THREADS)
    call_soon_threadsafe = _refused(_THREADS)
    getaddrinfo = _refused(_NAMES)
    getnameinfo = _refused(_NAMES)
    create_connection = _refused(_SOCKETS)
    create_server = _refused(_SOCKETS)
    create_datagram_endpoint = _refused(_SOCKETS)
    create_unix_connection = _refused(_SOCKETS)
    create_unix_server = _refused(_SOCKETS)
    connect_accepted_socket = _refused(_SOCKETS)
    start_tls = _refused(_SOCKETS)
    sendfile = _refused(_SOCKETS)
    sock_recv = _refused(_SOCKETS)
    sock_recv_into = _refused(_SOCKETS)
    sock_recvfrom = _refused(_SOCKETS)
    sock_recvfrom_into = _refused(_SOCKETS)
    sock_sendall = _refused(_SOCKETS)
    sock_sendto = _refused(_SOCKETS)
    sock_connect = _refused(_SOCKETS)
    sock_accept = _refused(_SOCKETS)
    sock_sendfile = _refused(_SOCKETS)
    add_reader = _refused(_SOCKETS)
    remove_reader = _refused(_SOCKETS)
    add_writer = _refused(_SOCKETS)
    remove_writer = _refused(_SOCKETS)
    connect_read_pipe = _refused(_PROCESSES)
    connect_write_pipe = _refused(_PROCESSES)
    subprocess_shell = _refused(_PROCESSES)
    subprocess_exec = _refused(_PROCESSES)
    add_signal_handler = _refused(_SIGNALS)
    remove_signal_handler = _refused(_SIGNALS)
