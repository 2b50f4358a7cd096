"""One network namespace: sockets in it, and processes."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from .process import run
from .requirements import program

NAMESPACES = Path("/run/netns")
"""Where iproute2 keeps the named ones."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace that exists, by the name that `ip netns` knows it under."""

    name: str

    @property
    def path(self) -> Path:
        """The file that stands for it."""
        return NAMESPACES / self.name

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the namespace, and back at the end.

        Sockets and processes that it makes meanwhile stay there for good. All
        that runs on an event loop of this thread moves with it.
        """
        with Path("/proc/thread-self/ns/net").open() as outside, self.path.open() as inside:
            os.setns(inside.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(outside.fileno(), os.CLONE_NEWNET)

    def socket(
        self, kind: socket.SocketKind, family: socket.AddressFamily = socket.AF_INET
    ) -> socket.socket:
        """Make a non-blocking socket in the namespace, to be used from anywhere."""
        with self.entered():
            made = socket.socket(family, kind)
        made.settimeout(0)
        return made

    def connector(self) -> aiohttp.TCPConnector:
        """Make a connector for an `aiohttp.ClientSession` that speaks from here.

        It knows no names: those are looked up outside.
        """
        return aiohttp.TCPConnector(
            socket_factory=lambda address: self.socket(
                socket.SocketKind(address[1]), socket.AddressFamily(address[0])
            )
        )

    def command(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs `command` here; its process is the program itself."""
        return (program("nsenter"), f"--net={self.path}", "--", *command)

    async def run(self, *command: str, stdin: str = "") -> str:
        """Run a short command here and return its output; raises CommandFailedError."""
        return await run(*self.command(*command), stdin=stdin)

    def set_kernel(self, setting: str, value: int) -> None:
        """Write a setting of the namespace's network, such as `ipv4/ip_forward`."""
        with self.entered():
            Path("/proc/sys/net", setting).write_text(str(value))
