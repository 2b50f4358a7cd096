"""Whether two rules are for the same packets: OPNsense itself accepts any number of them.

The first one by sequence decides, so that a rule may be saved, listed and
applied and still never be asked.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_network

from ..model import PortMapping
from ..refusals import conflict, named
from ..rule_texts import network_of
from .rule import Rule


def in_the_way(
    wanted: PortMapping, interface: str, address: IPv4Address | None, rule: Rule
) -> bool:
    """Tell whether `rule` is for some of the packets that `wanted` on `interface` is for.

    `address` is that of the interface, None where it is unknown. What cannot
    be told apart counts as being in the way, but for ports that are an alias:
    no firewall with one of these could be used.
    """
    ports = rule.external_ports
    return (
        rule.enabled
        and ports is not None
        and ports.overlaps(wanted.external_ports)
        and bool(set(rule.protocols) & set(wanted.protocols))
        and (6 if wanted.is_pinhole else 4) in rule.families
        and rule.is_for(interface)
        and _share_sources(wanted, rule)
        and _share_destination(wanted, interface, address, rule)
    )


def check_free(
    wanted: PortMapping, interface: str, address: IPv4Address | None, rules: Iterable[Rule]
) -> None:
    """Raise PortConflictError when one of these rules is in the way."""
    for rule in rules:
        if in_the_way(wanted, interface, address, rule):
            raise conflict(wanted, _describe(rule))


def _share_sources(wanted: PortMapping, rule: Rule) -> bool:
    theirs = network_of(rule.fields.get("source.network", ""))
    if not wanted.allowed_source or theirs is None or rule.fields.get("source.not") == "1":
        return True
    ours = ip_network(wanted.allowed_source)
    return ours.version == theirs.version and ours.overlaps(theirs)


def _share_destination(
    wanted: PortMapping, interface: str, address: IPv4Address | None, rule: Rule
) -> bool:
    name = rule.fields.get("destination.network", "")
    if rule.fields.get("destination.not") == "1":
        return True
    network = network_of(name)
    if wanted.is_pinhole:
        own = f"{interface}ip"
        if network is None:
            return name not in (own, "(self)")
        return network.overlaps(ip_network(wanted.internal_host))
    return network is None or address is None or address in network


def _describe(rule: Rule) -> str:
    """Name a rule for the user."""
    if not rule.redirects:
        target = "the firewall itself"
    else:
        ports = rule.fields.get("local-port") or rule.fields.get("destination.port") or "all ports"
        target = f"{rule.fields.get('target', '?')}:{ports}"
    return named(target, rule.description)
