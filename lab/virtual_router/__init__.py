"""A router in one Python process, without root: for the tests and the demo.

    async with VirtualRouter(igd=2, quirks={Quirk.Q11}) as router:
        ... router.description_url, router.mappings, router.requests ...

    async with VirtualRouter(upnp=False, pcp=Pcp(speaks="natpmp")) as router:
        ... router.pcp_port, router.epoch, router.mappings ...

Its mappings really listen on `wan_host` and relay TCP and UDP to the internal host.
"""

from .mapping import SourceFilter, VirtualMapping, Wan
from .pcp import ANNOUNCE_GROUP, Pcp
from .ports import free_port
from .quirks import Fault, Quirk, UdpFault
from .router import VirtualRouter

__all__ = [
    "ANNOUNCE_GROUP",
    "Fault",
    "Pcp",
    "Quirk",
    "SourceFilter",
    "UdpFault",
    "VirtualMapping",
    "VirtualRouter",
    "Wan",
    "free_port",
]
