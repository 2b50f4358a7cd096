"""RouterOS' spellings: durations, ports, networks, flags."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network

from ..model import PORT_MAX, PortRange

LONGEST = timedelta(weeks=35, days=3, hours=13, minutes=13, seconds=56)
"""The longest timeout of an address list, 2^31/100 seconds."""

ALL_PORTS = PortRange(first=1, last=PORT_MAX)

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d+):(\d+))")


def duration_of(text: str) -> timedelta | None:
    """Read `1d2h3m4s` or `1d02:03:04`; None for anything else."""
    found = _DURATION.fullmatch(text) or _CLOCK.fullmatch(text)
    if not text or found is None:
        return None
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    return timedelta(seconds=sum(int(part) * unit for part, unit in parts if part))


def duration(wanted: timedelta) -> str:
    """Write `1d2h3m4s`, at least one second and at most what the router takes."""
    left, text = max(1, int(min(wanted, LONGEST).total_seconds())), ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


def ports_of(text: str) -> tuple[PortRange, ...]:
    """Read a matcher such as `80,443,8000-8010`; none, or all but some, are all ports."""
    parts: list[PortRange] = []
    for part in text.split(","):
        try:
            parts.append(PortRange.parse(part))
        except ValueError:
            return (ALL_PORTS,)
    return tuple(parts)


def network_of(text: str) -> IPv4Network | IPv6Network | None:
    """Read an address or a network; None for a range, a name, or all but something."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def source_of(network: IPv4Network | IPv6Network | None) -> str:
    """Write an allowed source; "" for any, and no prefix at a single address."""
    if network is None or network.prefixlen == 0:
        return ""
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if single else network)


def is_on(row_value: str | None) -> bool:
    """Tell whether a flag is set; one that is absent is not."""
    return row_value in ("true", "yes")
