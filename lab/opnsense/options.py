"""The choices that OPNsense's destination NAT model offers, as its template shows them."""

from collections.abc import Mapping

IP_PROTOCOLS = {"": "any", "inet": "IPv4", "inet6": "IPv6", "inet46": "IPv4+IPv6"}

_NAMES = (
    "tcp udp tcp/udp icmp esp ah gre igmp pim ospf ax.25 dccp ddp egp eigrp encap etherip ethernet"
    " fc ggp hip hmp idpr-cmtp idrp igp ipcomp ipencap ipip ipv6 ipv6-icmp isis iso-tp4 l2tp manet"
    " mpls-in-ip mptcp pup rdp rohc rspf rsvp sctp shim6 skip st udplite vmtp vrrp wesp xns-idp xtp"
)
PROTOCOLS = {"": "any", **{name: name.upper() for name in _NAMES.split()}}

POOL_OPTIONS = {
    "": "Default",
    "round-robin": "Round Robin",
    "round-robin sticky-address": "Round Robin with Sticky Address",
    "random": "Random",
    "random sticky-address": "Random with Sticky Address",
    "source-hash": "Source Hash",
    "bitmask": "Bitmask",
}
NAT_REFLECTION = {"": "Use system default", "purenat": "Enable", "disable": "Disable"}
PASS = {"": "Manual", "pass": "Pass", "rule": "Register rule"}

# Those with one value; the interfaces, of which there may be several, depend on the firewall.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    "ipprotocol": IP_PROTOCOLS,
    "protocol": PROTOCOLS,
    "poolopts": POOL_OPTIONS,
    "natreflection": NAT_REFLECTION,
    "pass": PASS,
}


def choice(options: Mapping[str, str], selected: str) -> dict[str, dict[str, str | int]]:
    """Show options as getRule does, the selected ones marked."""
    marked = selected.split(",")
    return {key: {"value": text, "selected": int(key in marked)} for key, text in options.items()}
