"""What should not stand on the internet: services that are attacked all day.

Judged by the internal port and its protocol, for that is what answers, under
whatever external port. `docs/risks.md` has the same table for users, with the
sources; what is said of each is in the translations (`risk_texts.py`).
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Final

from homeassistant.components.http import ApiConfig

from ..forwards import ForwardSettings
from ..routers.addresses import own_address
from ..routers.model import PortRange, Protocol

_BOTH: Final = (Protocol.TCP, Protocol.UDP)
_ALL: Final = (PortRange(first=1, last=65535),)
# RFC 6335, section 6: the System Ports.
_PRIVILEGED: Final = PortRange(first=1, last=1023)


class Danger(StrEnum):
    """Why a service is risky. There is one text for each."""

    REMOTE_DESKTOP = "remote_desktop"
    VNC = "vnc"
    SSH = "ssh"
    TELNET = "telnet"
    FILES = "files"
    DATABASE = "database"
    ADMINISTRATION = "administration"
    CAMERA = "camera"
    HOME_ASSISTANT = "home_assistant"
    WEB = "web"
    PRIVILEGED = "privileged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Risk:
    """A service that is risky to open.

    `key` must stay as it is: the entity registry remembers it (`exposure.py`).
    """

    key: str
    danger: Danger
    ports: tuple[PortRange, ...]
    protocols: tuple[Protocol, ...] = (Protocol.TCP,)

    def concerns(self, settings: ForwardSettings) -> bool:
        """Tell whether the forward leads to this service."""
        return not set(self.protocols).isdisjoint(settings.protocols) and any(
            ports.overlaps(settings.internal_ports) for ports in self.ports
        )


def _ports(*ports: str) -> tuple[PortRange, ...]:
    return tuple(map(PortRange.parse, ports))


# Where IANA has the port assigned for both protocols but only one is spoken,
# only that one counts.
RISKS: Final[tuple[Risk, ...]] = (
    Risk(
        key="remote_desktop",
        danger=Danger.REMOTE_DESKTOP,
        ports=_ports("3389"),
        protocols=_BOTH,
    ),
    Risk(key="vnc", danger=Danger.VNC, ports=_ports("5900-5909")),
    Risk(key="ssh", danger=Danger.SSH, ports=_ports("22")),
    Risk(key="telnet", danger=Danger.TELNET, ports=_ports("23")),
    Risk(key="smb", danger=Danger.FILES, ports=_ports("139", "445")),
    Risk(key="mysql", danger=Danger.DATABASE, ports=_ports("3306")),
    Risk(key="postgresql", danger=Danger.DATABASE, ports=_ports("5432")),
    Risk(key="sql_server", danger=Danger.DATABASE, ports=_ports("1433")),
    Risk(key="oracle", danger=Danger.DATABASE, ports=_ports("1521")),
    Risk(key="mongodb", danger=Danger.DATABASE, ports=_ports("27017")),
    Risk(key="redis", danger=Danger.DATABASE, ports=_ports("6379")),
    Risk(key="elasticsearch", danger=Danger.DATABASE, ports=_ports("9200")),
    Risk(key="couchdb", danger=Danger.DATABASE, ports=_ports("5984")),
    Risk(key="influxdb", danger=Danger.DATABASE, ports=_ports("8086")),
    Risk(key="memcached", danger=Danger.DATABASE, ports=_ports("11211"), protocols=_BOTH),
    Risk(key="tr069", danger=Danger.ADMINISTRATION, ports=_ports("7547")),
    Risk(key="winbox", danger=Danger.ADMINISTRATION, ports=_ports("8291", "8728-8729")),
    Risk(
        key="snmp",
        danger=Danger.ADMINISTRATION,
        ports=_ports("161"),
        protocols=(Protocol.UDP,),
    ),
    Risk(key="rtsp", danger=Danger.CAMERA, ports=_ports("554"), protocols=_BOTH),
    Risk(key="hikvision", danger=Danger.CAMERA, ports=_ports("8000")),
    Risk(key="dahua", danger=Danger.CAMERA, ports=_ports("37777-37778"), protocols=_BOTH),
    Risk(key="xiongmai", danger=Danger.CAMERA, ports=_ports("34567", "8899")),
    Risk(key="reolink", danger=Danger.CAMERA, ports=_ports("9000")),
    Risk(key="foscam", danger=Danger.CAMERA, ports=_ports("88")),
    Risk(key="wificam", danger=Danger.CAMERA, ports=_ports("81")),
    # Most cameras, recorders and other devices have their page there.
    Risk(key="web", danger=Danger.WEB, ports=_ports("80")),
)
# Whatever answers on the router itself is for those inside.
_ROUTER: Final = Risk(key="router", danger=Danger.ADMINISTRATION, ports=_ALL, protocols=_BOTH)
_OF_A_SYSTEM: Final = Risk(
    key="privileged", danger=Danger.PRIVILEGED, ports=(_PRIVILEGED,), protocols=_BOTH
)


def home_assistant_risk(api: ApiConfig) -> Risk:
    """Return the risk of Home Assistant's own web server (`hass.config.api`) without TLS.

    Passwords would cross the internet in the clear. That another machine uses
    the same port is not looked into; it is most likely another Home Assistant.
    """
    return Risk(
        key="home_assistant",
        danger=Danger.HOME_ASSISTANT,
        ports=(PortRange.single(api.port),),
    )


async def async_is_on_router(
    settings: ForwardSettings, host: IPv4Address | None, router: IPv4Address
) -> bool:
    """Tell whether a forward to `host`, as it resolved, leads to the router itself.

    Where Home Assistant runs on the router, both have that address, and only
    the port tells them apart.
    """
    target = settings.internal_host if settings.adopted else str(host)
    return target == str(router) and await own_address(target) != router


def risks_of(
    settings: ForwardSettings, api: ApiConfig | None, *, on_router: bool
) -> tuple[Risk, ...]:
    """Return what is risky about a forward, nothing when nothing is known to be.

    `api` is Home Assistant's own web server (`hass.config.api`).
    """
    risks = RISKS
    if api and not api.use_ssl:
        risks += (home_assistant_risk(api),)
    found = tuple(risk for risk in risks if risk.concerns(settings))
    if on_router:
        found = (_ROUTER, *found)
    if not found and any(
        ports.overlaps(_PRIVILEGED) for ports in (settings.internal_ports, settings.external_ports)
    ):
        found = (_OF_A_SYSTEM,)
    return found
