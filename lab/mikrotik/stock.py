"""What a home router of MikroTik has out of the box."""

from collections.abc import Mapping, Sequence

from .menus import Item, Menu

INTERFACES = ("ip/address", "ip/route", "interface/list/member")
"""Menus that this router only shows."""

PORTS = ("bridge", "ether1", "ether2", "lte1")
"""The interfaces; ether1 is the WAN."""

BUILT_IN = ("all", "dynamic", "none", "static")
"""Interface lists that every router has."""

NAT_RULES: Sequence[Item] = (
    {
        "action": "masquerade",
        "chain": "srcnat",
        "comment": "defconf: masquerade",
        "out-interface-list": "WAN",
    },
)

FILTER6_RULES: Sequence[Item] = (
    {
        "action": "accept",
        "chain": "forward",
        "comment": "defconf: accept established,related,untracked",
        "connection-state": "established,related,untracked",
    },
    {
        "action": "drop",
        "chain": "forward",
        "comment": "defconf: drop invalid",
        "connection-state": "invalid",
    },
    {
        "action": "drop",
        "chain": "forward",
        "comment": "defconf: drop packets with bad src ipv6",
        "src-address-list": "bad_ipv6",
    },
    {
        "action": "drop",
        "chain": "forward",
        "comment": "defconf: rfc4890 drop hop-limit=1",
        "hop-limit": "equal:1",
        "protocol": "icmpv6",
    },
    {
        "action": "accept",
        "chain": "forward",
        "comment": "defconf: accept ICMPv6",
        "protocol": "icmpv6",
    },
    {
        "action": "accept",
        "chain": "forward",
        "comment": "defconf: accept IKE",
        "dst-port": "500,4500",
        "protocol": "udp",
    },
    {
        "action": "drop",
        "chain": "forward",
        "comment": "defconf: drop everything else not coming from LAN",
        "in-interface-list": "!LAN",
    },
)


def stock(menus: Mapping[str, Menu], external_address: str, *, wan_list: bool) -> None:
    """Fill the menus of a router whose WAN is ether1."""
    names = ("LAN", "WAN") if wan_list else ()
    menus["interface/list"].items += [
        {".id": f"*{number:X}", "builtin": "false", "dynamic": "false", "name": name}
        for number, name in enumerate(names, 0x2000010)
    ]
    for number, (name, interface) in enumerate((("LAN", "bridge"), ("WAN", "ether1")), 1):
        if name in names:
            menus["interface/list/member"].items.append(
                {
                    ".id": f"*{number:X}",
                    "disabled": "false",
                    "dynamic": "false",
                    "interface": interface,
                    "list": name,
                }
            )
    addresses = (("192.168.88.1/24", "bridge"), (f"{external_address}/24", "ether1"))
    menus["ip/address"].items += [
        {
            ".id": f"*{number:X}",
            "actual-interface": interface,
            "address": address,
            "disabled": "false",
            "dynamic": "true" if interface == "ether1" else "false",
            "interface": interface,
            "invalid": "false",
        }
        for number, (address, interface) in enumerate(addresses, 1)
    ]
    gateway = external_address.rpartition(".")[0] + ".1"
    menus["ip/route"].items.append(
        {
            ".id": "*30000001",
            "active": "true",
            "distance": "1",
            "dst-address": "0.0.0.0/0",
            "dynamic": "true",
            "gateway": gateway,
            "immediate-gw": f"{gateway}%ether1",
        }
    )
    if wan_list:
        for rule in NAT_RULES:
            menus["ip/firewall/nat"].add(rule)
        for rule in FILTER6_RULES:
            menus["ipv6/firewall/filter"].add(rule)
