"""The configuration that a new router has."""

from .uci import Package, Section, Value

_RULES: tuple[dict[str, Value], ...] = (
    {"name": "Allow-DHCP-Renew", "proto": "udp", "dest_port": "68", "family": "ipv4"},
    {"name": "Allow-Ping", "proto": "icmp", "icmp_type": "echo-request", "family": "ipv4"},
    {"name": "Allow-IGMP", "proto": "igmp", "family": "ipv4"},
    {"name": "Allow-DHCPv6", "proto": "udp", "dest_port": "546", "family": "ipv6"},
    {"name": "Allow-MLD", "proto": "icmp", "src_ip": "fe80::/10", "family": "ipv6"},
    {"name": "Allow-ICMPv6-Input", "proto": "icmp", "family": "ipv6"},
    {"name": "Allow-ICMPv6-Forward", "dest": "*", "proto": "icmp", "family": "ipv6"},
    {"name": "Allow-IPSec-ESP", "dest": "lan", "proto": "esp"},
    {"name": "Allow-ISAKMP", "dest": "lan", "dest_port": "500", "proto": "udp"},
)


def firewall_package() -> Package:
    """Return /etc/config/firewall."""
    accept = {"input": "ACCEPT", "output": "ACCEPT", "forward": "ACCEPT"}
    reject = {"input": "REJECT", "output": "ACCEPT", "forward": "DROP", "masq": "1", "mtu_fix": "1"}
    return Package(
        [
            _anonymous("defaults", {"syn_flood": "1", "input": "REJECT", "output": "ACCEPT"}),
            _anonymous("zone", {"name": "lan", "network": ["lan"], **accept}),
            _anonymous("zone", {"name": "wan", "network": ["wan", "wan6"], **reject}),
            _anonymous("forwarding", {"src": "lan", "dest": "wan"}),
            *(_anonymous("rule", {"src": "wan", "target": "ACCEPT", **rule}) for rule in _RULES),
        ]
    )


def system_package(timezone: str) -> Package:
    """Return /etc/config/system with this TZ string."""
    options: dict[str, Value] = {"hostname": "OpenWrt", "timezone": timezone, "ttylogin": "0"}
    return Package([_anonymous("system", options)])


def _anonymous(kind: str, options: dict[str, Value]) -> Section:
    return Section(type=kind, name="", anonymous=True, options=options)
