"""RouterOS' spellings of durations, addresses and ports, and what it calls invalid."""

import re
from ipaddress import ip_address, ip_network

MAX_TIMEOUT = 35 * 604800 + 3 * 86400 + 13 * 3600 + 13 * 60 + 56  # seconds; 35w3d13h13m56s

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_MAX_PORT = 65535


class InvalidValueError(ValueError):
    """A value that RouterOS refuses, in its words."""


def seconds_of(text: str) -> int:
    """Read `1h`, `1d2h3m4s` or `90`; raises InvalidValueError."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise InvalidValueError("invalid time value")
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    seconds = sum(int(part) * unit for part, unit in parts if part)
    if seconds > MAX_TIMEOUT:
        raise InvalidValueError("value of timeout out of range (0s..35w3d13h13m56s)")
    return seconds


def duration(seconds: float) -> str:
    """Write `1h30m` as RouterOS does: no unit that is zero, but `0s`."""
    left, text = int(seconds), ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def check_host(text: str) -> None:
    """Refuse what is no address and no range of them."""
    try:
        for part in text.split("-", 1):
            ip_address(part)
    except ValueError as error:
        raise _refuse(text) from error


def check_network(text: str) -> None:
    """Refuse what is neither an address, a range, nor a network; `!` turns it around."""
    text = text.removeprefix("!")
    if "-" in text:
        check_host(text)
        return
    try:
        ip_network(text, strict=False)
    except ValueError as error:
        raise _refuse(text) from error


def check_ports(text: str) -> None:
    """Refuse what is no list of ports and ranges."""
    for part in text.removeprefix("!").split(","):
        first, _, last = part.partition("-")
        for number in (first, last or first):
            if not number.isdigit():
                raise InvalidValueError("invalid value for ports")
            if not 0 <= int(number) <= _MAX_PORT:
                raise InvalidValueError("value of range out of range (0..65535)")


def check_flag(text: str) -> None:
    """Refuse what is neither true nor false."""
    if text not in ("true", "false", "yes", "no"):
        raise InvalidValueError("ambiguous value, expected yes or no")


def in_ports(port: int, text: str) -> bool:
    """Tell whether a matcher like `80,8000-8010` or `!80` covers the port."""
    parts = [part.partition("-") for part in text.removeprefix("!").split(",")]
    found = any(int(first) <= port <= int(last or first) for first, _, last in parts)
    return found is not text.startswith("!")


def in_network(address: str, text: str) -> bool:
    """Tell whether a matcher like `10.0.0.0/8`, `10.0.0.1-10.0.0.9` or `!…` covers the address."""
    wanted, bare = ip_address(address), text.removeprefix("!")
    if "-" in bare:
        first, last = (ip_address(part) for part in bare.split("-"))
        found = first.version == wanted.version and int(first) <= int(wanted) <= int(last)
    else:
        found = wanted in ip_network(bare, strict=False)
    return found is not text.startswith("!")


def _refuse(text: str) -> InvalidValueError:
    return InvalidValueError(f"value {text} is not an address")
