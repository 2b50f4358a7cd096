"""What fw4 makes of the firewall's sections: rules, or nothing at all.

A section with a value that fw4 does not understand is skipped, and nobody is
told. One without `src_dport`, or of all protocols, becomes a rule for every
port: that is what it says.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from .uci import Package, Section

type Ports = tuple[int, int] | None
"""First and last; None for every port."""

EVERY_PROTOCOL = ("tcp", "udp", "icmp")
_PROTOCOLS = {
    "tcp": ("tcp",),
    "udp": ("udp",),
    "tcpudp": ("tcp", "udp"),
    "all": EVERY_PROTOCOL,
    "any": EVERY_PROTOCOL,
    "*": EVERY_PROTOCOL,
}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?")
_PORTS = re.compile(r"(\d{1,5})(?:[-:](\d{1,5}))?")
_LAST_PORT = 65535
_NO = ("0", "no", "off", "false", "disabled")


class SkippedError(Exception):
    """fw4 skips this section, for the reason given."""


@dataclass(slots=True, kw_only=True)
class Rule:
    """One rule for one protocol, as it stands in the kernel."""

    section: str
    name: str
    protocol: str
    zone: str
    ports: Ports
    """External ports of a redirect, ports of the host of a rule."""
    source: IPv4Network | IPv6Network | None
    host: IPv4Address | IPv6Address
    to_ports: Ports
    """Where a redirect leads; None for the port that the packet has."""
    until: datetime | None
    """UTC; the kernel's clock decides for each packet."""
    redirect: bool
    hits: int = 0
    udp_sources: set[str] = field(default_factory=set)

    def fits(self, protocol: str, port: int, source: str, now: datetime) -> bool:
        """Tell whether a packet falls under this rule."""
        return (
            protocol == self.protocol
            and (self.ports is None or self.ports[0] <= port <= self.ports[1])
            and (self.source is None or ip_address(source) in self.source)
            and (self.until is None or now.replace(microsecond=0) <= self.until)
        )

    def internal_port(self, port: int) -> int:
        """Return where a packet to this port is sent to.

        Only a range that is translated to itself is kept port by port. Any
        other leads to its first port, as was seen with real traffic.
        """
        if self.to_ports is None or self.to_ports == self.ports:
            return port
        return self.to_ports[0]


def render(package: Package) -> Iterator[Rule]:
    """Iterate over the rules of a package, in their order."""
    zones = {s.text("name"): s for s in package.sections if s.type == "zone"}
    for section in package.sections:
        try:
            if section.type == "redirect":
                yield from _redirect(section, zones)
            elif section.type == "rule":
                yield from _rule(section, zones)
        except SkippedError:
            continue


def _redirect(section: Section, zones: dict[str, Section]) -> Iterator[Rule]:
    if not _enabled(section) or section.text("target", "DNAT").upper() != "DNAT":
        return
    ports = _ports(section.text("src_dport"))
    to_ports = _ports(section.text("dest_port"))
    for protocol in _protocols(section):
        every_port = section.text("proto") in ("all", "any", "*")
        yield Rule(
            section=section.name,
            name=_name(section),
            protocol=protocol,
            zone=_zone(section.text("src"), zones),
            ports=None if every_port else ports,
            source=_source(section),
            host=_address(section.text("dest_ip")),
            to_ports=to_ports,
            until=_date(section.text("stop_date")),
            redirect=True,
        )


def _rule(section: Section, zones: dict[str, Section]) -> Iterator[Rule]:
    """Only the rules that let something through to a host matter to port forwards."""
    if not _enabled(section) or section.text("target").upper() != "ACCEPT":
        return
    if not section.text("dest_ip") or not section.text("dest"):
        return
    for protocol in _protocols(section):
        yield Rule(
            section=section.name,
            name=_name(section),
            protocol=protocol,
            zone=_zone(section.text("src"), zones),
            ports=_ports(section.text("dest_port")),
            source=_source(section),
            host=_address(section.text("dest_ip")),
            to_ports=None,
            until=_date(section.text("stop_date")),
            redirect=False,
        )


def _name(section: Section) -> str:
    return section.text("name") or f"@{section.type}[{section.name}]"


def _enabled(section: Section) -> bool:
    return section.text("enabled", "1").lower() not in _NO


def _protocols(section: Section) -> tuple[str, ...]:
    found: list[str] = []
    for word in section.text("proto", "tcpudp").split():
        if word not in _PROTOCOLS:
            raise SkippedError(word)
        found += _PROTOCOLS[word]
    return tuple(dict.fromkeys(found))


def _zone(name: str, zones: dict[str, Section]) -> str:
    if name not in zones:
        raise SkippedError(name)
    return name


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise SkippedError(text) from error


def _source(section: Section) -> IPv4Network | IPv6Network | None:
    value = section.options.get("src_ip")
    if value is None:
        return None
    if isinstance(value, list):
        raise SkippedError("src_ip is no list")
    try:
        return ip_network(value, strict=False)
    except ValueError as error:
        raise SkippedError(value) from error


def _ports(text: str) -> Ports:
    if not text:
        return None
    if not (found := _PORTS.fullmatch(text)):
        raise SkippedError(text)
    first, last = int(found[1]), int(found[2] or found[1])
    if not 0 < first <= last <= _LAST_PORT:
        raise SkippedError(text)
    return first, last


def _date(text: str) -> datetime | None:
    """Read a date, as local time without a zone."""
    if not text:
        return None
    if not _DATE.fullmatch(text):
        raise SkippedError(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise SkippedError(text) from error
