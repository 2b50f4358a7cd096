"""UPnP Internet Gateway Devices, versions 1 and 2, and the TR-064 services named alike.

Sources: UPnP Device Architecture 1.1 (UDA), WANIPConnection:1 and :2,
WANPPPConnection:1. What real routers do instead is cited where it is handled.
"""

from .description import Description, WanService, describe
from .driver import UpnpRouter, from_settings
from .identity import HOST, MAC, SERIAL, WAN, Identity, counterpart, own_mac
from .ssdp import same_host, search
from .survey import WanSurvey, survey

__all__ = [
    "HOST",
    "MAC",
    "SERIAL",
    "WAN",
    "Description",
    "Identity",
    "UpnpRouter",
    "WanService",
    "WanSurvey",
    "counterpart",
    "describe",
    "from_settings",
    "own_mac",
    "same_host",
    "search",
    "survey",
]
