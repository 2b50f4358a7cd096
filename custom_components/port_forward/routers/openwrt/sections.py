"""Sections of /etc/config/firewall: what is ours, what a mapping is written as, what a row says."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final

from ..model import EVERY_PORT, Owner, PortMapping, PortRange, Protocol
from ..rule_texts import network_of
from .clock import RouterClock, parse_date

type Value = str | list[str]
type Options = Mapping[str, Value]

REDIRECT: Final = "redirect"
RULE: Final = "rule"

_OWN = re.compile(r"ha_pf_(?:([A-Za-z0-9]+)_)?([A-Za-z0-9]+)_\d+")
_PORTS = re.compile(r"(\d{1,5})(?:[-:](\d{1,5}))?")
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._-]+")
_LONGEST_TITLE = 60  # characters; nft takes comments of up to 128
_OFF = ("0", "no", "off", "false", "disabled")
_BOTH = (Protocol.TCP, Protocol.UDP)
_PROTOCOLS: Final[Mapping[str, tuple[Protocol, ...]]] = {
    "tcp": (Protocol.TCP,),
    "udp": (Protocol.UDP,),
    "tcpudp": _BOTH,
    "all": _BOTH,
    "any": _BOTH,
    "*": _BOTH,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section as the router holds it."""

    name: str
    type: str
    options: Options

    def text(self, option: str, default: str = "") -> str:
        """Return the value of an option; of a list its items in a row."""
        value = self.options.get(option, default)
        return value if isinstance(value, str) else " ".join(value)

    @property
    def owner(self) -> Owner | None:
        """For which forward of which Home Assistant it was made, None for any other."""
        return owner_of(self.name)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """What it is for; what is neither TCP nor UDP is left out."""
        words = self.text("proto", "tcpudp").lower().split()
        found = {protocol for word in words for protocol in _PROTOCOLS.get(word, ())}
        return tuple(protocol for protocol in _BOTH if protocol in found)

    @property
    def every_port(self) -> bool:
        """Whether it is for each port: fw4 renders no port with such a protocol."""
        return any(word in ("all", "any", "*") for word in self.text("proto").lower().split())

    @property
    def enabled(self) -> bool:
        """Whether it is switched on, be its time up or not."""
        return self.text("enabled", "1").lower() not in _OFF


def title_of(name: str) -> str:
    """Return the name that a section of ours has for people, in ASCII that nothing garbles."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = _UNSAFE.sub(" ", ascii_name).split()
    return f"HA: {' '.join(words)}"[:_LONGEST_TITLE].rstrip(" :")


def own_name(owner: Owner, number: int) -> str:
    """Return the name of a section of ours: always the same, so that a crash loses none.

    Names may have letters, digits and `_` alone.
    """
    return f"ha_pf_{str(owner).replace('-', '_')}_{number}"


def owner_of(name: str) -> Owner | None:
    """Return what the name of a section says, None for one that no Home Assistant has made."""
    found = _OWN.fullmatch(name)
    return Owner(forward_id=found[2], home=found[1] or "") if found else None


def read_sections(values: object) -> Iterator[Section]:
    """Iterate over the sections that `uci get` shows, in their order; nonsense is left out."""
    rows = (
        [row for row in values.values() if isinstance(row, dict)]
        if isinstance(values, dict)
        else []
    )
    for row in rows:
        name, kind = row.get(".name"), row.get(".type")
        if isinstance(name, str) and isinstance(kind, str):
            options = {key: _value(value) for key, value in row.items() if not key.startswith(".")}
            yield Section(name=name, type=kind, options=options)


def values_of(
    mapping: PortMapping, *, zone: str, inside: str, name: str, stop_date: str
) -> Options:
    """Return the options of the section that a mapping of ours is written as.

    `zone` is that of the internet, `inside` that of the internal host.
    `stop_date` "" is none. Reflection stays off: it would let the whole home
    in, whatever the allowed source is.
    """
    values: dict[str, Value] = {
        "name": name,
        "src": zone,
        "dest": inside,
        "proto": [protocol.value for protocol in mapping.protocols],
        "dest_ip": mapping.internal_host,
        "enabled": "1",
    }
    if mapping.is_pinhole:
        values |= {
            "family": "ipv6",
            "dest_port": str(mapping.external_ports),
            "target": "ACCEPT",
        }
    else:
        values |= {
            "src_dport": str(mapping.external_ports),
            "dest_port": str(mapping.internal_ports),
            "target": "DNAT",
            "reflection": "0",
        }
    if mapping.allowed_source:
        values["src_ip"] = mapping.allowed_source
    if stop_date:
        values["stop_date"] = stop_date
    return values


def check_narrow(kind: str, options: Options) -> None:
    """Make sure that a section opens no more than some ports, right before it is sent.

    fw4 makes a rule for every port of one without a port, or with `proto all`.
    One that lets IPv6 through and names no zone is for the router itself, and
    one that names no host for all of them.
    """
    section = Section(name="", type=kind, options=options)
    if not section.enabled:
        return
    port = "src_dport" if kind == REDIRECT else "dest_port"
    if _ports(section.text(port)) is None or section.every_port or not section.protocols:
        raise AssertionError(f"this would open every port: {options}")
    if kind == RULE and not is_pinhole(section):
        raise AssertionError(f"this would open more than one host: {options}")


def read_mapping(section: Section, clock: RouterClock) -> PortMapping | None:
    """Return what a section opens; None for nothing, such as one that fw4 has to skip."""
    lease = _remaining(section, clock)
    is_rule = section.type == RULE
    external = _ports(section.text("dest_port" if is_rule else "src_dport"))
    if not section.text("src_dport") and not is_rule:
        external = EVERY_PORT
    if external is None or not section.protocols:
        return None
    if section.every_port:
        external = EVERY_PORT
    internal = external if is_rule else _internal(section, external)
    return PortMapping(
        protocols=section.protocols,
        external_ports=external,
        internal_host=_host(section.text("dest_ip")) or "the router",
        internal_ports=internal,
        allowed_source=source_text(section.text("src_ip")),
        enabled=section.enabled and (lease is None or lease >= timedelta(0)),
        description=section.text("name"),
        lease=None if lease is None else max(lease, timedelta(0)),
        id=section.name,
    )


def is_pinhole(section: Section) -> bool:
    """Tell whether it is a rule that lets packets through to one host over IPv6."""
    if section.type != RULE or section.text("target").upper() != "ACCEPT":
        return False
    try:
        host = ip_address(section.text("dest_ip"))
    except ValueError:
        return False
    return isinstance(host, IPv6Address) and bool(section.text("dest"))


def is_forward(section: Section) -> bool:
    """Tell whether it is a redirect that leads packets to another host."""
    return section.type == REDIRECT and section.text("target", "DNAT").upper() == "DNAT"


def source_text(text: str) -> str:
    """Return an allowed source in one spelling; what is no network stays as it is."""
    network = network_of(text)
    if network is None:
        return text
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _remaining(section: Section, clock: RouterClock) -> timedelta | None:
    stop_date = section.text("stop_date")
    return clock.remaining(stop_date) if stop_date and parse_date(stop_date) else None


def _internal(section: Section, external: PortRange) -> PortRange | None:
    """Return where the ports lead: port by port only when a range is translated to itself.

    fw4 sends all packets of any other range to its first port, as was seen
    with real traffic.
    """
    text = section.text("dest_port")
    ports = _ports(text) if text else external
    if ports is None or ports == external:
        return ports
    return PortRange.single(ports.first)


def _ports(text: str) -> PortRange | None:
    found = _PORTS.fullmatch(text)
    if not found:
        return None
    try:
        return PortRange(first=int(found[1]), last=int(found[2] or found[1]))
    except ValueError:
        return None


def _host(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _value(value: object) -> Value:
    return [str(item) for item in value] if isinstance(value, list) else str(value)
