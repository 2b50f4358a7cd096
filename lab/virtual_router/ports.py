"""Ports for tests and demos."""

import os
import random
import socket
from collections import deque

# Below the range that Linux takes ports of outgoing connections from, 32768 to 60999.
LOWEST, HIGHEST = 10000, 32767

_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)

# Free is not yet taken: who asks next must not get what the last one is about to bind.
_given: deque[int] = deque(maxlen=2000)


def free_port(host: str = "127.0.0.1") -> int:
    """Find a port that is free on `host` for TCP and for UDP, at random.

    Nobody else in this process gets it for a long time, and no worker of pytest-xdist beside it.
    Raises OSError when a hundred tries found none.
    """
    return free_range(1, host)


def free_range(length: int, host: str = "127.0.0.1") -> int:
    """Find so many ports in a row, all of them as of `free_port`; returns the first."""
    share = _share()
    for _ in range(100):
        first = random.randint(share.start, share.stop - length)  # noqa: S311  no secret
        ports = range(first, first + length)
        if not any(port in _given for port in ports) and all(_is_free(host, p) for p in ports):
            _given.extend(ports)
            return first
    raise OSError(f"No {length} ports of {host} between {LOWEST} and {HIGHEST} seem to be free")


def _share() -> range:
    """Return the ports of this process: all of them, or an equal part for each worker of xdist."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (HIGHEST + 1 - LOWEST) // workers
    return range(LOWEST + worker * size, LOWEST + (worker + 1) * size)


def _is_free(host: str, port: int) -> bool:
    try:
        for kind in _KINDS:
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.bind((host, port))
    except OSError:
        return False
    return True
