"""The default gateway: the router that a home is most likely behind."""

from collections.abc import Collection
from ipaddress import IPv4Address

from .routers.ipv4 import default_gateways4


def default_gateways(interfaces: Collection[str]) -> list[IPv4Address]:
    """Return the default gateways behind these interfaces; does blocking I/O."""
    return [gateway for gateway, interface in default_gateways4() if interface in interfaces]
