"""Whose namespaces are whose, and removing those that nobody owns any more."""

import itertools
import os
import re
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .namespace import NAMESPACES, Namespace
from .process import CommandFailedError, run
from .requirements import program

ROLES = ("internet", "router", "home_assistant", "camera")

FILES = Path("/run/port-forward-lab")
"""Where networks keep their files, each in a folder named as its router's namespace."""

_PREFIX = "port-forward"
_NAME = re.compile(rf"{_PREFIX}-(?P<label>\w+)-(?P<pid>\d+)-(?P<start>\d+)-\d+-(?P<role>\w+)")
_STARTED = 19  # field 22 of proc_pid_stat(5), counted from the third

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A namespace of a lab, of whichever process."""

    namespace: Namespace
    label: str
    role: str
    owner: int
    """The process id."""
    owned: bool
    """Whether its owner lives."""


def new(label: str) -> Mapping[str, str]:
    """Return a name for each role that no other network has, here or in another process.

    The time at which the process started tells it from others that have, or
    had, or will have its id.
    """
    pid = os.getpid()
    network = f"{_PREFIX}-{label}-{pid}-{_started(pid)}-{next(_numbers)}"
    return {role: f"{network}-{role}" for role in ROLES}


def find() -> list[Found]:
    """Return the namespaces of all labs on this machine."""
    found = []
    for path in NAMESPACES.glob(f"{_PREFIX}-*"):
        if name := _NAME.fullmatch(path.name):
            pid = int(name["pid"])
            found.append(
                Found(
                    namespace=Namespace(path.name),
                    label=name["label"],
                    role=name["role"],
                    owner=pid,
                    owned=_started(pid) == int(name["start"]),
                )
            )
    return found


async def sweep() -> None:
    """Remove what processes have left that are gone."""
    for left in find():
        if not left.owned:
            await remove(left.namespace)


async def remove(namespace: Namespace) -> None:
    """End all processes in a namespace, and delete it and its files; fine if it is gone."""
    # Another process may be sweeping the same.
    with suppress(CommandFailedError):
        for pid in (await run(program("ip"), "netns", "pids", namespace.name)).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        await run(program("ip"), "netns", "delete", namespace.name)
    shutil.rmtree(FILES / namespace.name, ignore_errors=True)


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks since the machine did; None without it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError, ProcessLookupError:
        return None
    # The name of the program, in parentheses, may hold blanks.
    return int(stat.rpartition(")")[2].split()[_STARTED])
