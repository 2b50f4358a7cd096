"""On what it was measured."""

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

from .stats import load


def machine() -> str:
    """Return what a reader has to know of the machine and of the peers."""
    peers = ", ".join(f"{name} {version(name)}" for name in ("miniupnpc", "async-upnp-client"))
    return "\n".join(
        (
            f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            f"Python {sys.version.split()[0]}, aiohttp {version('aiohttp')}, {peers}",
            load(),
        )
    )


def _processor() -> str:
    # Linux; others have no such file.
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return model[1] if model else platform.machine()
