"""Subjects in this process: what all of them share is that everybody is on loopback."""

import socket
from typing import override

from .subject import Subject


class OnLoopback(Subject):
    """A simulated router whose NAT listens on 127.0.0.1."""

    target = "127.0.0.2"
    friend = "127.0.0.3"
    stranger = "127.0.0.4"
    network = "127.0.0.2/31"
    far = stranger

    @override
    def client(self) -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    @override
    def server(self, port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.target, port))
        return made

    @override
    def outside(self, port: int) -> tuple[str, int]:
        return "127.0.0.1", port
