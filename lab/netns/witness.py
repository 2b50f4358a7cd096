"""What others see of the router's mappings: the kernel, and a client that we did not write."""

import re

from .miniupnpd import RealRouter
from .network import NAT_CHAIN, TABLE
from .requirements import program

type Row = tuple[str, int, str, int]
"""Protocol in upper case, external port, internal host, internal port."""

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
