"""The forwards that the tests open."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from custom_components.port_forward.routers.model import Forward, PortRange, Protocol

from .server import HOST

HOUR = timedelta(hours=1)
BOTH = (Protocol.TCP, Protocol.UDP)


def forward(
    external: int = 8080,
    *,
    internal: int | None = None,
    internal_host: str | None = HOST,
    internal_host6: str | None = None,
    protocols: tuple[Protocol, ...] = (Protocol.TCP,),
    source: str | None = None,
    any_external_port: bool = False,
) -> Forward:
    return Forward(
        id="camera1",
        name="Camera",
        internal_host=IPv4Address(internal_host) if internal_host else None,
        internal_host6=IPv6Address(internal_host6) if internal_host6 else None,
        protocols=protocols,
        external_ports=PortRange.single(external),
        internal_ports=PortRange.single(internal or external),
        allowed_source=IPv4Network(source) if source else None,
        any_external_port=any_external_port,
    )
