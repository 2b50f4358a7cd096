"""Firewall rules: ours as they have to be, and all of them as they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from ..model import Forward, Owner, PortMapping, PortRange, Protocol
from ..rule_texts import (
    mapping_id,
    network_of,
    owner_of,
    ports_of,
    same_place,
    source_of,
    sources_meet,
)
from ..tag import description_of, owner_in
from .rest import ID, Row
from .wan import Wan
from .words import is_on

NAT = "ip/firewall/nat"
FILTER6 = "ipv6/firewall/filter"

_PROTOCOLS: Mapping[str | None, tuple[Protocol, ...]] = {
    "tcp": (Protocol.TCP,),
    "udp": (Protocol.UDP,),
    None: (Protocol.TCP, Protocol.UDP),
}
# Rules with these actions let a packet go on to the next rule.
_PASSING = {
    "add-dst-to-address-list",
    "add-src-to-address-list",
    "jump",
    "log",
    "passthrough",
    "return",
}
_NETWORKS = {"dst-address", "src-address"}
_MOST_DIGITS = 20  # of a counter: those of 2^64


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule that is ours: the mapping that it makes, and what the router is to hold for it."""

    mapping: PortMapping
    path: str
    values: Mapping[str, str]

    def is_held_as(self, row: Row) -> bool:
        """Tell whether a row is this rule: on, and no wider than it has to be.

        Every value that limits it has to be there. What the row has besides
        can only limit it further.
        """
        is_off = is_on(row.get("disabled")) or is_on(row.get("invalid"))
        return not is_off and all(
            _same(key, row.get(key, ""), value) for key, value in self.values.items()
        )


def list_of(owner: Owner) -> str:
    """Return the name of the address list that lets the sources of a forward in."""
    return f"ha-pf-{owner}"


def comment_of(forward: Forward) -> str:
    """Return the comment of a rule, with the tag by which it is known as ours."""
    return f"HA: {description_of(forward)}"


def is_marked(row: Row, owner: Owner | None) -> bool:
    """Tell whether a row was made by us for this forward: its tag or its list says so."""
    if owner is None:
        return False
    return owner.has_made(owner_in(row.get("comment", ""))) or row.get(
        "src-address-list"
    ) == list_of(owner)


def is_ours(row: Row, mapping: PortMapping) -> bool:
    """Tell whether a row is what we made for this mapping: its mark, and where it leads."""
    return is_marked(row, owner_of(mapping)) and any(
        same_place(made, mapping) for made in read_row(row)
    )


def rule_for(mapping: PortMapping, wan: Wan) -> Rule:
    """Return the rule that makes a mapping of our plan.

    The allowed source stands in the rule itself, the list only says for how
    long: whatever happens to the list, nobody else gets in. A list that is
    empty matches nobody, so that a rule alone opens nothing.
    """
    owner = owner_of(mapping)
    assert owner is not None  # noqa: S101  each of our plan has one
    common = {
        **wan.matcher,
        "protocol": mapping.protocols[0].value,
        "dst-port": str(mapping.external_ports),
        "src-address-list": list_of(owner),
        "comment": mapping.description,
        **({"src-address": mapping.allowed_source} if mapping.allowed_source else {}),
    }
    if mapping.is_pinhole:
        accept = {"chain": "forward", "action": "accept", "dst-address": mapping.internal_host}
        return Rule(mapping=mapping, path=FILTER6, values=accept | common)
    translate = {
        "chain": "dstnat",
        "action": "dst-nat",
        # Not what passes through to other public addresses, where the home has such.
        "dst-address-type": "local",
        "to-addresses": mapping.internal_host,
    }
    if mapping.internal_ports != mapping.external_ports:
        # Without it every port stays the same, for ranges too.
        translate["to-ports"] = str(mapping.internal_ports)
    return Rule(mapping=mapping, path=NAT, values=translate | common)


def planned(forward: Forward) -> Iterator[PortMapping]:
    """Iterate over the mappings of a forward: a rule knows one protocol and one family."""
    hosts = (forward.internal_host, forward.internal_host6)
    for host in filter(None, hosts):
        for protocol in forward.protocols:
            yield PortMapping(
                protocols=(protocol,),
                external_ports=forward.external_ports,
                internal_host=str(host),
                internal_ports=forward.internal_ports,
                allowed_source=source_of(forward.allowed_source),
                description=comment_of(forward),
                id=mapping_id("", forward.owner),
            )


def read_nat(row: Row) -> Iterator[PortMapping]:
    """Iterate over the mappings that a row of NAT makes; one for each range of its ports."""
    protocols = _PROTOCOLS.get(row.get("protocol"))
    is_forward = row.get("action") in ("dst-nat", "netmap") and row.get("chain") != "srcnat"
    if not is_forward or protocols is None:
        return
    for external in ports_of(row.get("dst-port", "")):
        yield _read(
            row,
            protocols,
            external,
            internal_host=row.get("to-addresses", "?"),
            internal=_translated(row, external),
        )


def read_filter6(row: Row) -> Iterator[PortMapping]:
    """Iterate over the pinholes that a row of the IPv6 firewall makes, to one host each."""
    protocols = _PROTOCOLS.get(row.get("protocol"))
    network = network_of(row.get("dst-address", ""))
    is_pinhole = (
        (row.get("chain"), row.get("action")) == ("forward", "accept")
        and network is not None
        and network.prefixlen == network.max_prefixlen
    )
    if not is_pinhole or network is None or protocols is None:
        return
    for ports in ports_of(row.get("dst-port", "")):
        host = str(network.network_address)
        yield _read(row, protocols, ports, internal_host=host, internal=ports)


def read_row(row: Row) -> Sequence[PortMapping]:
    """Return the mappings that a row makes, of whichever menu; no row is read as both."""
    return (*read_nat(row), *read_filter6(row))


def leads_like(row: Row, mapping: PortMapping) -> bool:
    """Tell whether a row makes just this mapping, with the same target."""
    return any(made.same_rule(mapping) for made in read_row(row))


def _read(
    row: Row,
    protocols: tuple[Protocol, ...],
    external: PortRange,
    *,
    internal_host: str,
    internal: PortRange | None,
) -> PortMapping:
    packets = row.get("packets", "")
    return PortMapping(
        protocols=protocols,
        external_ports=external,
        internal_host=internal_host,
        internal_ports=internal,
        allowed_source=_source(row),
        enabled=not (is_on(row.get("disabled")) or is_on(row.get("invalid"))),
        description=row.get("comment", ""),
        id=mapping_id(row.get(ID, ""), owner_in(row.get("comment", ""))),
        hits=int(packets) if packets.isdecimal() and len(packets) <= _MOST_DIGITS else None,
    )


def _source(row: Row) -> str:
    """Return whom a row lets in; a list of ours does not count, it holds the same."""
    source = row.get("src-address", "")
    network = network_of(source)
    if source:
        return source if network is None else source_of(network)
    name = row.get("src-address-list", "")
    owner = owner_in(row.get("comment", ""))
    return "" if owner and name == list_of(owner) else name


def _translated(row: Row, external: PortRange) -> PortRange | None:
    text = row.get("to-ports", "")
    if not text:
        return external
    try:
        return PortRange.parse(text)
    except ValueError:
        return None


def reached(rows: Sequence[Row], wan: Wan) -> Sequence[Row]:
    """Return the rows of NAT that packets from the internet come to, by jumps too.

    Rules with the matcher `hotspot` are for the clients of a hotspot.
    """
    chains = {"dstnat"}
    heard = [row for row in rows if wan.hears(row) and "hotspot" not in row]
    jumps = [row for row in heard if row.get("action") == "jump"]
    for _ in jumps:
        chains |= {row.get("jump-target", "") for row in jumps if row.get("chain") in chains}
    return [row for row in heard if row.get("chain") in chains]


def is_in_the_way(row: Row, wanted: PortMapping) -> bool:
    """Tell whether a row that packets come to would take those that are meant for `wanted`.

    Ours comes after all there are. What an earlier rule takes, for whatever
    part of the sources, never reaches it.
    """
    protocols = _PROTOCOLS.get(row.get("protocol"), ())
    return (
        row.get("action") not in _PASSING
        and not is_on(row.get("disabled"))
        and not is_on(row.get("invalid"))
        and wanted.protocols[0] in protocols
        and any(
            ports.overlaps(wanted.external_ports) for ports in ports_of(row.get("dst-port", ""))
        )
        and sources_meet(row.get("src-address", ""), wanted.allowed_source)
    )


def is_pinhole_for(row: Row, wanted: PortMapping, wan: Wan) -> bool:
    """Tell whether a row lets packets through that are meant for `wanted`, by its address."""
    return wan.hears(row) and any(
        mapping.internal_host == wanted.internal_host
        and wanted.protocols[0] in mapping.protocols
        and mapping.external_ports.overlaps(wanted.external_ports)
        and mapping.enabled
        and sources_meet(row.get("src-address", ""), wanted.allowed_source)
        for mapping in read_filter6(row)
    )


def first_drop(rows: Sequence[Row], wanted: PortMapping, wan: Wan) -> Row | None:
    """Return the first row of the IPv6 firewall that surely drops what is meant for `wanted`.

    Those with any other matcher, such as a list of bad addresses or the state
    "invalid", drop only a part, and stay in front of ours.
    """
    weighed = {"protocol", "dst-port", "dst-address", "in-interface", "in-interface-list"}
    told = {ID, "action", "bytes", "chain", "comment", "disabled", "dynamic", "invalid", "log"}
    told |= {"log-prefix", "packets", "reject-with"}
    for row in rows:
        drops = row.get("chain") == "forward" and row.get("action") in ("drop", "reject", "tarpit")
        if not drops or is_on(row.get("disabled")) or is_on(row.get("invalid")):
            continue
        if row.keys() <= weighed | told and _is_for(row, wanted) and wan.hears(row):
            return row
    return None


def names_target(row: Row) -> bool:
    """Tell whether a row is about a port or a host, and not about all of them."""
    return "dst-port" in row or "dst-address" in row


def _is_for(row: Row, wanted: PortMapping) -> bool:
    network = network_of(row.get("dst-address", "::/0"))
    return (
        wanted.protocols[0] in _PROTOCOLS.get(row.get("protocol"), ())
        and any(
            ports.overlaps(wanted.external_ports) for ports in ports_of(row.get("dst-port", ""))
        )
        and (network is None or IPv6Address(wanted.internal_host) in network)
    )


def _same(key: str, held: str, wanted: str) -> bool:
    if key == "comment":
        return owner_in(held) == owner_in(wanted)
    if key in _NETWORKS:
        return network_of(held) is not None and network_of(held) == network_of(wanted)
    return held == wanted
