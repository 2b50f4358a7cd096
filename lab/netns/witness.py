"""What others see of the router's mappings: the kernel, and a client that we did not write."""

import json
import re
from ipaddress import IPv6Address

from .miniupnpd import RealRouter
from .namespace import Namespace
from .network import FORWARD_CHAIN, NAT_CHAIN, TABLE
from .requirements import program

type Row = tuple[str, int, str, int]
"""Protocol in upper case, external port, internal host, internal port."""

type Pinhole = tuple[str, str, int, str, int]
"""Protocol in upper case, host, port, source address or "", source port or 0."""

type _Match = dict[str, dict[str, dict[str, object]]]
type _Where = tuple[object, ...]

# Where in the packet miniupnpd looks: of the IPv6 header what kind of packet,
# from whom, and to whom, in bits from its start; of the next one the ports.
_FIELDS: dict[_Where, str] = {
    ("nh", 48, 8, None, None): "protocol",
    ("nh", 64, 128, None, None): "source",
    ("nh", 192, 128, None, None): "target",
    (None, None, None, "th", "sport"): "source_port",
    (None, None, None, "th", "dport"): "port",
}
_TCP = 6

# The protocol as miniupnpd writes it, a byte of the IP header, or as a newer nft shows that.
_RULE = re.compile(
    r"\b(?P<protocol>0x0*6|0x0*11|tcp|udp)\b.* dport (?P<port>\d+)\b.*"
    r" dnat (?:ip )?to (?P<host>[\d.]+):(?P<internal>\d+)"
)
_LISTED = re.compile(
    r"^ *\d+ (?P<protocol>TCP|UDP) +(?P<port>\d+)->(?P<host>[\d.]+):(?P<internal>\d+) ",
    re.MULTILINE,
)


async def kernel_rows(router: RealRouter) -> list[Row]:
    """Return what the kernel forwards, sorted, from `nft list chain`."""
    listed = await router.network.nft("list", "chain", "inet", TABLE, NAT_CHAIN)
    rules = [line for line in listed.splitlines() if "dnat" in line]
    found = [rule for line in rules if (rule := _RULE.search(line))]
    if len(found) != len(rules):
        raise ValueError(f"rules of an unknown form:\n{listed}")
    return sorted(
        (
            "TCP" if rule["protocol"].endswith(("6", "tcp")) else "UDP",
            int(rule["port"]),
            rule["host"],
            int(rule["internal"]),
        )
        for rule in found
    )


async def kernel_pinholes(router: Namespace) -> list[Pinhole]:
    """Return which IPv6 hosts and ports the kernel lets the internet to, sorted."""
    listed = await router.run(program("nft"), "-j", "list", "chain", "inet", TABLE, FORWARD_CHAIN)
    rules = [found["rule"]["expr"] for found in json.loads(listed)["nftables"] if "rule" in found]
    pinholes = []
    for expressions in rules:
        matched = dict(_matched(part["match"]) for part in expressions if "match" in part)
        if "target" in matched:
            pinholes.append(
                (
                    "TCP" if int(matched["protocol"]) == _TCP else "UDP",
                    str(IPv6Address(int(matched["target"], 16))),
                    int(matched["port"]),
                    str(IPv6Address(int(matched["source"], 16))) if "source" in matched else "",
                    int(matched.get("source_port", 0)),
                )
            )
    return sorted(pinholes)


def _matched(match: _Match) -> tuple[str, str]:
    """Return what a rule looks at, and for what."""
    field = match["left"].get("payload", {})
    where = tuple(field.get(key) for key in ("base", "offset", "len", "protocol", "field"))
    return _FIELDS.get(where, ""), str(match["right"])


async def upnpc(router: RealRouter, *arguments: str) -> str:
    """Let `upnpc` speak to the router from the camera, and return what it prints."""
    client = (program("upnpc"), "-u", router.description_url, *arguments)
    return await router.network.camera.run(*client)


async def upnpc_rows(router: RealRouter) -> list[Row]:
    """Return what `upnpc -l` lists, sorted."""
    return sorted(
        (row["protocol"], int(row["port"]), row["host"], int(row["internal"]))
        for row in _LISTED.finditer(await upnpc(router, "-l"))
    )
