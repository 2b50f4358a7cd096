"""What one run of the demo leaves to the next, and the ports that a run takes."""

import fcntl
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from ..virtual_router import free_port

LOOPBACK = "127.0.0.1"
HIGHEST_PORT = 65535


class InUseError(Exception):
    """Another demo works with the same state; the text says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """The ports of one run, all on 127.0.0.1."""

    home_assistant: int
    external: int
    """The external port of both forwards."""
    camera: int
    router: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What Home Assistant has been told."""

    udn: str
    ports: Ports


class State:
    """A directory with the configuration of Home Assistant and the memory of the last run."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; it need not exist."""
        self._directory = directory
        self._memory = directory / "demo.json"
        self.config = directory / "config"

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keep the state for this process. Raises InUseError when another has it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "lock").open("w") as lock:
            if not _lock(lock.fileno()):
                raise InUseError(f"the demo in {self._directory} is running already: stop it first")
            self._check_home_assistant()
            yield

    def load(self) -> Memory | None:
        """Return the memory, None for a first run, which finds no configuration then.

        A first run that was interrupted counts as none: its home is half made.
        """
        try:
            stored = json.loads(self._memory.read_text())
        except FileNotFoundError:
            self.reset()
            return None
        return Memory(udn=stored["udn"], ports=Ports(**stored["ports"]))

    def save(self, memory: Memory) -> None:
        """Replace the memory, whole or not at all."""
        new = self._memory.with_suffix(".new")
        new.write_text(json.dumps(asdict(memory), indent=2))
        new.replace(self._memory)

    def reset(self) -> None:
        """Forget everything."""
        self._memory.unlink(missing_ok=True)
        if self.config.exists():
            shutil.rmtree(self.config)

    def _check_home_assistant(self) -> None:
        """Raise InUseError when a demo was killed and its Home Assistant lives on.

        Home Assistant holds a lock on this file, which tells its process.
        """
        try:
            lock = (self.config / ".ha_run.lock").open()
        except FileNotFoundError:
            return
        with lock:
            if not _lock(lock.fileno()):
                pid = json.load(lock)["pid"]
                raise InUseError(
                    f"the Home Assistant of an earlier demo is still running: kill {pid}"
                )


def new_memory(ports: Ports) -> Memory:
    """Return the memory of a first run; the router gets its identity here."""
    return Memory(udn=f"uuid:{uuid4()}", ports=ports)


def choose_ports(home_assistant: int, known: Ports | None) -> Ports:
    """Choose ports that are free.

    Home Assistant gets the one asked for, the others those of the last run, at
    first the three above Home Assistant's. Whatever is taken is replaced by
    any that is free.
    """
    chosen: list[int] = []

    def choose(*wanted: int) -> int:
        port = next((p for p in wanted if p not in chosen and is_free(p)), None)
        while port is None or port in chosen:
            port = free_port()
        chosen.append(port)
        return port

    def known_or(role: str, port: int) -> tuple[int, ...]:
        return (getattr(known, role), port) if known else (port,)

    return Ports(
        home_assistant=choose(home_assistant, *([known.home_assistant] if known else [])),
        external=choose(*known_or("external", home_assistant + 1)),
        camera=choose(*known_or("camera", home_assistant + 2)),
        router=choose(*known_or("router", home_assistant + 3)),
    )


def is_free(port: int) -> bool:
    """Tell whether nobody uses the port, neither for TCP nor for UDP."""
    if port > HIGHEST_PORT:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # macOS lets one bind beside somebody who listens on all addresses.
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                if kind is socket.SOCK_STREAM:
                    # Connections of the last run that are dying do not count.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def _lock(fd: int) -> bool:
    """Take the lock of an open file if nobody has it; it ends with the file or the process."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
