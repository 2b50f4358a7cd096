"""On what it was measured."""

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from .stats import load


def machine() -> str:
    """Return what a reader has to know of the machine and of the peers."""
    peers = ", ".join(f"{name} {version(name)}" for name in ("miniupnpc", "async-upnp-client"))
    programs = [
        found[0]
        for command in (("upnpc",), ("miniupnpd", "--version"))
        if (found := re.search(r"(?:miniupnpc library|miniupnpd).*?\d+(?:\.\d+)+", _says(command)))
    ]
    return "\n".join(
        (
            f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            f"Python {sys.version.split()[0]}, aiohttp {version('aiohttp')}, {peers}",
            *programs,
            load(),
        )
    )


def _says(command: tuple[str, ...]) -> str:
    program = shutil.which(command[0], path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        return ""
    done = subprocess.run(  # noqa: S603  our own arguments
        (program, *command[1:]), capture_output=True, check=False, text=True, timeout=10
    )
    return done.stdout + done.stderr


def _processor() -> str:
    # Linux; others have no such file.
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return model[1] if model else platform.machine()
