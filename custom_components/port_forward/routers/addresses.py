"""Addresses: which are public, and which is our own."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
"""The networks of homes (RFC 1918). Python's is_private holds much more, loopback among it."""

CGNAT = IPv4Network("100.64.0.0/10")
"""What a provider's customers share (RFC 6598)."""

# Named one by one, because Python's is_global also leaves out the networks for
# documentation: no provider gives those to a customer, while the routers of
# tests and demos live on them.
_NOT_PUBLIC = (
    *PRIVATE,
    CGNAT,
    *(
        IPv4Network(network)
        for network in (
            "0.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "192.0.0.0/24",  # RFC 6890; DS-Lite routers show an address of it
            "224.0.0.0/3",
        )
    ),
)


def is_public(address: IPv4Address | None) -> bool:
    """Tell whether the internet can reach the address; None is no address."""
    return address is not None and not any(address in network for network in _NOT_PUBLIC)


async def own_address(host: str) -> IPv4Address | None:
    """Return the address that `host` sees us under, None if there is no way to it.

    Connecting a datagram socket sends nothing and picks the source address.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(host, 9), family=socket.AF_INET
        )
    except OSError:
        return None
    try:
        return IPv4Address(transport.get_extra_info("sockname")[0])
    finally:
        transport.close()
