"""The forwards as the controller keeps them: its own regular expressions, and overlaps.

The expressions are those of 9.5.21, as others have taken them out of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

type Document = dict[str, object]

_PORT = r"(?:[1-9][0-9]{0,4})"
_PORTS = re.compile(rf"{_PORT}(?:-{_PORT})?(?:,{_PORT}(?:-{_PORT})?){{0,14}}")
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(?:\.{_BYTE}){{3}}"
_SOURCE = re.compile(rf"any|!?{_IPV4}(?:/(?:3[0-2]|[12]?[0-9])|-{_IPV4})?")
_HIGHEST = 65535

_TEXTS: Mapping[str, re.Pattern[str]] = {
    "destination_ip": re.compile(rf"any|{_IPV4}"),
    "dst_port": _PORTS,
    "fwd": re.compile(_IPV4),
    "fwd_port": _PORTS,
    "name": re.compile(r".{1,128}"),
    "pfwd_interface": re.compile(r"wan[2-9]?|both|all"),
    "proto": re.compile(r"tcp_udp|tcp|udp"),
    "src": _SOURCE,
    "src_limiting_type": re.compile(r"ip|firewall_group"),
}
_FLAGS = ("enabled", "log", "src_limiting_enabled")
_REQUIRED = ("dst_port", "fwd", "fwd_port", "name", "proto")


class InvalidError(Exception):
    """A document that the controller refuses."""


def check(document: Mapping[str, object]) -> None:
    """Refuse what the controller would. Unknown fields are kept as they are."""
    for key in _REQUIRED:
        if key not in document:
            raise InvalidError(key)
    for key, pattern in _TEXTS.items():
        value = document.get(key)
        if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
            raise InvalidError(key)
    for key in _FLAGS:
        if not isinstance(document.get(key, False), bool):
            raise InvalidError(key)
    for first, last in (*ranges(document["dst_port"]), *ranges(document["fwd_port"])):
        if first > last or last > _HIGHEST:
            raise InvalidError("dst_port")


def ranges(ports: object) -> Iterator[tuple[int, int]]:
    """Iterate over the first and last ports of `80,443,8000-8010`."""
    for part in str(ports).split(","):
        first, _, last = part.partition("-")
        yield int(first), int(last or first)


def protocols(document: Mapping[str, object]) -> set[str]:
    """Return the protocols of a forward."""
    return set(str(document["proto"]).split("_"))


def interfaces(document: Mapping[str, object]) -> set[str]:
    """Return the WANs of a forward, by the names that forwards use."""
    named = str(document.get("pfwd_interface", "wan"))
    every = {"wan", *(f"wan{number}" for number in range(2, 10))}
    return {"both": {"wan", "wan2"}, "all": every}.get(named, {named})


def overlapping(document: Mapping[str, object], others: Iterable[Mapping[str, object]]) -> bool:
    """Tell whether a forward takes a port that another one has, whoever is let in."""
    return any(
        other.get("_id") != document.get("_id")
        and protocols(other) & protocols(document)
        and interfaces(other) & interfaces(document)
        and any(
            first <= other_last and other_first <= last
            for first, last in ranges(document["dst_port"])
            for other_first, other_last in ranges(other["dst_port"])
        )
        for other in others
    )
