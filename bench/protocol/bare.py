"""The limit: requests that were recorded, sent again over a plain socket."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from .tap import Conversation, content_length

CHUNK = 65536  # bytes


@dataclass(frozen=True, slots=True)
class Script:
    """What was said over one connection."""

    kept: bool
    requests: tuple[bytes, ...]


def script(conversations: Sequence[Conversation]) -> tuple[Script, ...]:
    """Return what to send again, connection by connection."""
    return tuple(Script(heard.kept, tuple(heard.requests)) for heard in conversations)


def only(scripts: Sequence[Script], action: bytes) -> tuple[Script, ...]:
    """Return the one request of an action. Raises ValueError when it is not there."""
    for spoken in scripts:
        for request in spoken.requests:
            if action in request:
                return (Script(spoken.kept, (request,)),)
    raise ValueError(f"no {action!r} among the requests")


class BareSocket:
    """Sends what it is told, and looks at no answer but for its end."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Take where the router is."""
        self._address = address
        self._kept: socket.socket | None = None

    def close(self) -> None:
        """Hang up."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def prepare(self, scripts: Sequence[Script]) -> None:
        """Have the connection that the client had already."""
        if self._kept is None and any(script.kept for script in scripts):
            self._kept = self._connect()

    def play(self, scripts: Sequence[Script]) -> bytes:
        """Send everything with as many connections as the client used; return the last answer."""
        answer = b""
        for script in scripts:
            if script.kept and self._kept is not None:
                for request in script.requests:
                    answer = _exchange(self._kept, request)
                continue
            with self._connect() as connection:
                for request in script.requests:
                    answer = _exchange(connection, request)
        return answer

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    """Return the whole answer. Raises ConnectionError when there is none."""
    connection.sendall(request)
    received = bytearray()
    missing: int | None = None
    while missing is None or missing > 0:
        data = connection.recv(CHUNK)
        received += data
        if not data:
            if missing is None:
                raise ConnectionError("the router hung up")
            break
        if missing is None:
            head, end, body = bytes(received).partition(b"\r\n\r\n")
            if end:
                missing = content_length(head) - len(body)
        else:
            missing -= len(data)
    return bytes(received)
