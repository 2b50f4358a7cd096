"""The rules as the firewall has them, which is what counts: fw4 skips sections in silence.

Source: `nft --terse --json list ruleset` (libnftables-json(5)), with the rules
of fw4 in the chains `dstnat_<zone>` and `forward_<zone>`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from ..errors import ProtocolError
from ..model import PortMapping, PortRange, Protocol
from .rights import NFT
from .sections import source_text
from .ubus import NoObjectError, StatusError, Ubus

_PREFIX = "!fw4: "


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """One rule of one protocol, as far as it matters to port forwards."""

    zone: str
    name: str
    protocol: Protocol
    ports: PortRange
    host: str
    internal_ports: PortRange | None
    """None for a rule that translates nothing."""
    source: str
    until: datetime | None
    """In the router's local time, as nft shows it."""
    hits: int

    def is_of(self, mapping: PortMapping, zone: str) -> bool:
        """Tell whether it is (one protocol of) this mapping; `zone` "" is any."""
        internal = None if mapping.is_pinhole else mapping.internal_ports
        return (
            zone in ("", self.zone)
            and self.protocol in mapping.protocols
            and self.ports == mapping.external_ports
            and self.host == mapping.internal_host
            and self.internal_ports == internal
            and self.source == mapping.allowed_source
        )


async def list_rendered(ubus: Ubus) -> tuple[Rendered, ...] | None:
    """Return the rules of the firewall, None where they cannot be had."""
    command, *params = NFT
    try:
        data = await ubus.read("file", "exec", command=command, params=params)
    except StatusError, NoObjectError:
        return None
    stdout = data.get("stdout")
    try:
        listing = json.loads(stdout) if isinstance(stdout, str) else None
    except ValueError, RecursionError:
        listing = None
    if not isinstance(listing, dict) or not isinstance(listing.get("nftables"), list):
        raise ProtocolError(host=ubus.host, detail="a list of rules that makes no sense")
    return tuple(_rules(listing["nftables"]))


def find_rendered(
    mapping: PortMapping, zone: str, rules: tuple[Rendered, ...]
) -> tuple[Rendered, ...]:
    """Return the rules of a mapping: one for each of its protocols when all is well."""
    return tuple(rule for rule in rules if rule.is_of(mapping, zone))


def _rules(items: list[object]) -> Iterator[Rendered]:
    for item in items:
        match item:
            case {"rule": {"chain": str() as chain, "expr": list() as expr, **rest}}:
                kind, _, zone = str(chain).partition("_")
                comment = str(rest.get("comment", "")).removeprefix(_PREFIX)
                if kind in ("dstnat", "forward") and (rule := _rule(zone, comment, expr)):
                    yield rule


def _rule(zone: str, name: str, expr: list[object]) -> Rendered | None:
    """Return what the expressions of a rule say; None for one of no single protocol or host."""
    found: dict[str, object] = {}
    for part in expr:
        match part:
            case {
                "match": {
                    "left": {"payload": {"protocol": "tcp" | "udp" as protocol, "field": "dport"}},
                    "right": right,
                }
            }:
                found["protocol"], found["ports"] = protocol, _ports(right)
            case {"match": {"left": {"payload": {"field": "saddr"}}, "right": right}}:
                found["source"] = _network(right)
            case {"match": {"left": {"payload": {"field": "daddr"}}, "right": right}}:
                found["daddr"] = _network(right)
            case {"match": {"left": {"meta": {"key": "time"}}, "op": "<=", "right": str() as date}}:
                found["until"] = _date(date)
            case {"counter": {"packets": int() as packets}}:
                found["hits"] = packets
            case {"dnat": {"addr": str() as target, **rest}}:
                found["host"], found["internal"] = target, _ports(rest.get("port"))
    ports, host = found.get("ports"), found.get("host", found.get("daddr"))
    if not isinstance(ports, PortRange) or not isinstance(host, str):
        return None
    until, internal, hits = found.get("until"), found.get("internal"), found.get("hits", 0)
    return Rendered(
        zone=zone,
        name=name,
        protocol=Protocol(str(found["protocol"])),
        ports=ports,
        host=host,
        internal_ports=internal if isinstance(internal, PortRange) else None,
        source=str(found.get("source", "")),
        until=until if isinstance(until, datetime) else None,
        hits=hits if isinstance(hits, int) else 0,
    )


def _ports(value: object) -> PortRange | None:
    try:
        match value:
            case int(port):
                return PortRange.single(port)
            case {"range": [int(first), int(last)]}:
                return PortRange(first=first, last=last)
    except ValueError:
        pass
    return None


def _network(value: object) -> str:
    match value:
        case str(address):
            return source_text(address)
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            try:
                return source_text(str(ip_network(f"{address}/{length}")))
            except ValueError:
                pass
    return "?"


def _date(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is None else None
