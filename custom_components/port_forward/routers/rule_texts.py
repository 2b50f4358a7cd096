"""What the rules of routers with an API of their own say in text: ports, sources, ids."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from .model import EVERY_PORT, Owner, PortMapping, PortRange


def ports_of(text: str) -> tuple[PortRange, ...]:
    """Read `80,443,8000-8010`; nothing, or what cannot be read, counts as all ports."""
    try:
        return tuple(PortRange.parse(part) for part in text.split(","))
    except ValueError:
        return (EVERY_PORT,)


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


def sources_meet(theirs: str, ours: str) -> bool:
    """Tell whether a packet can come from both; a range or a name may be anything."""
    one, other = network_of(theirs), network_of(ours)
    if one is None or other is None or one.version != other.version:
        return True
    return one.network_address in other or other.network_address in one


def same_place(one: PortMapping, other: PortMapping) -> bool:
    """Tell whether both lead from the same ports to the same target, whomever they let in.

    A rule with our tag stays ours when somebody changes its source: it has to
    be closed all the more.
    """
    return (
        sorted(one.protocols) == sorted(other.protocols)
        and one.external_ports == other.external_ports
        and one.target == other.target
    )


def mapping_id(rule_id: str, owner: Owner | None) -> str:
    """Return what a mapping keeps: the id of its rule, "" for a plan, and what its tag says.

    The ledger keeps no description, and so no tag. By what that says, what a
    crash left behind is found again without the id of the rule.
    """
    return f"{rule_id}/{owner}" if owner else rule_id


def rule_id_of(mapping: PortMapping) -> str:
    """Return the id of the rule of a mapping, "" where it is not known yet."""
    return mapping.id.partition("/")[0]


def owner_of(mapping: PortMapping) -> Owner | None:
    """Return for which forward of which Home Assistant a mapping was made, None for any other."""
    return Owner.parse(mapping.id.partition("/")[2])
