"""A router in one Python process, without root: for the tests and the demo.

    async with VirtualRouter(igd=2, quirks={Quirk.Q11}) as router:
        ... router.description_url, router.mappings, router.requests ...

    async with VirtualRouter(upnp=False, pcp=Pcp(speaks="natpmp")) as router:
        ... router.pcp_port, router.epoch, router.mappings ...

    async with VirtualRouter(ipv6=Ipv6(), pcp=Pcp()) as router:
        ... router.description_url6, router.pinholes, router.count_packets(1, 7) ...

Its mappings really listen on `wan_host` and relay TCP and UDP to the internal host.
"""

from .mapping import SourceFilter, VirtualMapping, Wan
from .pcp import ANNOUNCE_GROUP, Pcp
from .pinhole import Ipv6, Pinhole
from .ports import free_port, free_range
from .quirks import Fault, Quirk, UdpFault
from .router import VirtualRouter

__all__ = [
    "ANNOUNCE_GROUP",
    "Fault",
    "Ipv6",
    "Pcp",
    "Pinhole",
    "Quirk",
    "SourceFilter",
    "UdpFault",
    "VirtualMapping",
    "VirtualRouter",
    "Wan",
    "free_port",
    "free_range",
]
