"""The IPv6 address of a router that is known by its IPv4 address.

PCP maps ports of IPv6 only for who asks over IPv6. Where the default ways of
both families lead out of the same interface, and that of IPv4 over this very
router, the other one is its way too.
"""

from ..ipv4 import default_gateways4
from ..ipv6 import default_gateways6
from .exchange import Server


def find_server6(server: Server) -> Server | None:
    """Return where the router is asked over IPv6, None where that is not known."""
    interfaces = {interface for gateway, interface in default_gateways4() if gateway == server.host}
    found = (gateway for gateway, interface in default_gateways6() if interface in interfaces)
    gateway = next(found, None)
    return Server(gateway, server.port) if gateway else None
