"""The forwards that the drivers are asked to open."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network

from custom_components.port_forward.routers.model import (
    Forward,
    PortMapping,
    PortRange,
    Protocol,
)
from lab.virtual_router import free_port

SLOW = timedelta(minutes=1)


def forward(
    external: int | PortRange | None = None,
    *,
    forward_id: str = "camera1",
    name: str = "Camera",
    host: str | None = "127.0.0.1",
    host6: str | None = None,
    internal: int | PortRange | None = None,
    protocols: tuple[Protocol, ...] = (Protocol.TCP,),
    source: str | None = None,
    any_external_port: bool = False,
    home: str = "",
) -> Forward:
    """Make a forward; without ports one that is free, to itself."""
    ports = _ports(free_port() if external is None else external)
    return Forward(
        id=forward_id,
        name=name,
        internal_host=IPv4Address(host) if host else None,
        internal_host6=IPv6Address(host6) if host6 else None,
        protocols=protocols,
        external_ports=ports,
        internal_ports=ports if internal is None else _ports(internal),
        allowed_source=None if source is None else ip_network(source),
        any_external_port=any_external_port,
        home=home,
    )


def lasts(mapping: PortMapping, lease: timedelta) -> bool:
    """Tell whether it was opened for `lease`: it tells whole seconds, less those gone by."""
    return mapping.lease is not None and timedelta() <= lease - mapping.lease < SLOW


def _ports(ports: int | PortRange) -> PortRange:
    return PortRange.single(ports) if isinstance(ports, int) else ports
