"""The kernel's table of neighbours, as a home's would be."""

from collections.abc import Mapping
from pathlib import Path

OURS, THEIRS = "02:00:00:00:00:01", "02:00:00:00:00:02"


def write_neighbours(path: Path, neighbours: Mapping[str, str]) -> None:
    """Let these hosts have these MACs."""
    rows = [f"{host} 0x1 0x2 {mac} * lo\n" for host, mac in neighbours.items()]
    path.write_text("".join(["the header\n", *rows]))
