"""A UPnP router in one Python process, without root: for the tests and the demo.

    async with VirtualRouter(igd=2, quirks={Quirk.Q11}) as router:
        ... router.description_url, router.mappings, router.requests ...

Its mappings really listen on `wan_host` and relay TCP and UDP to the internal host.
"""

from .mapping import VirtualMapping, Wan
from .ports import free_port
from .quirks import Fault, Quirk
from .router import VirtualRouter

__all__ = ["Fault", "Quirk", "VirtualMapping", "VirtualRouter", "Wan", "free_port"]
