"""UPnP Internet Gateway Devices, versions 1 and 2, and the TR-064 services named alike.

Sources: UPnP Device Architecture 1.1 (UDA), WANIPConnection:1 and :2,
WANPPPConnection:1. What real routers do instead is cited where it is handled.
"""

from .description import Description, WanService, describe
from .driver import UpnpRouter, from_settings
from .ssdp import same_host, search
from .survey import WanSurvey, survey

__all__ = [
    "Description",
    "UpnpRouter",
    "WanService",
    "WanSurvey",
    "describe",
    "from_settings",
    "same_host",
    "search",
    "survey",
]
