"""Ports for tests and demos."""

import random
import socket

# Below the range that Linux takes ports of outgoing connections from, 32768 to 60999.
LOWEST, HIGHEST = 10000, 32767


def free_port(host: str = "127.0.0.1") -> int:
    """Find a port that is free on `host` for TCP and for UDP, at random.

    Raises OSError when a hundred tries found none.
    """
    for _ in range(100):
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311  no secret
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as sock:
                    sock.bind((host, port))
        except OSError:
            continue
        return port
    raise OSError(f"No port of {host} between {LOWEST} and {HIGHEST} seems to be free")
