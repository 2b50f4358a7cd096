"""The table of the README: what is possible on which router, from the drivers' own words.

`python -m tests.capability_table` writes it into the README.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from custom_components.port_forward.routers.model import Capabilities, Leases, Listing
from custom_components.port_forward.routers.registry import DRIVERS

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- capabilities -->\n", "<!-- /capabilities -->\n"

# Of the drivers, in the order of the table.
NAMES = {
    "upnp": "UPnP IGD",
    "pcp": "PCP, NAT-PMP",
    "openwrt": "[OpenWrt](docs/routers/openwrt.md)",
    "mikrotik": "[MikroTik](docs/routers/mikrotik.md)",
    "opnsense": "[OPNsense](docs/routers/opnsense.md)",
    "unifi": "[UniFi](docs/routers/unifi.md)",
    "fritzbox": "[FRITZ!Box](docs/routers/fritzbox.md)",
}
# What a driver needs to be made; nothing is asked of a router.
SETTINGS: Mapping[str, str] = {
    "url": "http://192.0.2.1/",
    "wan": "wan",
    "site": "default",
    "username": "?",
    "password": "?",
    "api_key": "?",
    "api_secret": "?",
}

_LISTS = {Listing.FULL: True, Listing.PARTIAL: None, Listing.NONE: False}
_CLOSES = {
    Leases.KEPT: True,
    Leases.UNKNOWN: None,
    Leases.UNPROVEN: None,
    Leases.IGNORED: False,
    Leases.PERMANENT_ONLY: False,
}
COLUMNS: Mapping[str, Callable[[Capabilities], bool | None]] = {
    "shows all that is open": lambda can: _LISTS[can.listing],
    "closes by itself": lambda can: _CLOSES[can.leases],
    "other devices": lambda can: can.other_hosts,
    "allowed source": lambda can: can.allowed_source,
    "range as one rule": lambda can: can.port_ranges,
    "IPv6": lambda can: can.ipv6,
    "counts": lambda can: can.hit_counters,
    "existing rules": lambda can: can.disabled_rules,
    "connections": lambda can: can.connection_table,
}
_WORDS = {True: "yes", False: "no", None: "depends"}


async def table() -> str:
    """Return the table, a line for each driver."""
    head = ("Router", *COLUMNS)
    lines = [head, ("---",) * len(head)]
    async with aiohttp.ClientSession() as session:
        for driver, name in NAMES.items():
            settings = {**SETTINGS, "url": "pcp://192.0.2.1"} if driver == "pcp" else SETTINGS
            capabilities = DRIVERS[driver](session, settings, learned={}).capabilities
            lines.append((name, *(_WORDS[tells(capabilities)] for tells in COLUMNS.values())))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written() -> str:
    """Return the table as the README has it."""
    return README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the table."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    new = asyncio.run(table())
    README.write_text(f"{before}{begin}\n{new}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
