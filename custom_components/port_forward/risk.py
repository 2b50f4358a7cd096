"""What should not stand on the internet: services that are attacked all day.

Judged by the internal port and its protocol, for that is what answers, under
whatever external port. `docs/voice.md` has the same table for users.
"""

from dataclasses import dataclass

from homeassistant.components.http import ApiConfig

from .forwards import ForwardSettings
from .routers.model import PortRange, Protocol

_BOTH = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Risk:
    """A service that is risky to open.

    `key` must stay as it is: the entity registry remembers it (`exposure.py`).
    """

    key: str
    name: str
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
RISKS: tuple[Risk, ...] = (
    Risk(
        key="remote_desktop",
        name="Remote desktop (RDP)",
        ports=_ports("3389"),
        protocols=_BOTH,
    ),
    Risk(key="vnc", name="Remote desktop (VNC)", ports=_ports("5900-5909")),
    Risk(key="ssh", name="SSH", ports=_ports("22")),
    Risk(key="telnet", name="Telnet", ports=_ports("23")),
    Risk(key="smb", name="File sharing (SMB)", ports=_ports("139", "445")),
    Risk(key="mysql", name="MySQL, MariaDB", ports=_ports("3306")),
    Risk(key="postgresql", name="PostgreSQL", ports=_ports("5432")),
    Risk(key="sql_server", name="Microsoft SQL Server", ports=_ports("1433")),
    Risk(key="oracle", name="Oracle Database", ports=_ports("1521")),
    Risk(key="mongodb", name="MongoDB", ports=_ports("27017")),
    Risk(key="redis", name="Redis", ports=_ports("6379")),
    Risk(key="elasticsearch", name="Elasticsearch", ports=_ports("9200")),
    Risk(key="couchdb", name="CouchDB", ports=_ports("5984")),
    Risk(key="tr069", name="Router administration (TR-069)", ports=_ports("7547")),
    Risk(key="winbox", name="Router administration (MikroTik)", ports=_ports("8291", "8728-8729")),
    Risk(
        key="snmp",
        name="Device administration (SNMP)",
        ports=_ports("161"),
        protocols=(Protocol.UDP,),
    ),
    Risk(key="rtsp", name="Camera stream (RTSP)", ports=_ports("554"), protocols=_BOTH),
    Risk(
        key="dahua",
        name="Camera administration (Dahua)",
        ports=_ports("37777-37778"),
        protocols=_BOTH,
    ),
    Risk(key="xiongmai", name="Camera administration (Xiongmai)", ports=_ports("34567")),
)


def risks_of(settings: ForwardSettings, home_assistant: ApiConfig | None) -> tuple[Risk, ...]:
    """Return what is risky about a forward, nothing when nothing is known to be.

    `home_assistant` is Home Assistant's own web server (`hass.config.api`). It
    is a risk where it speaks without TLS: passwords would cross the internet
    in the clear. That another machine uses the same port is not looked into;
    it is most likely another Home Assistant.
    """
    risks = RISKS
    if home_assistant and not home_assistant.use_ssl:
        risks += (
            Risk(
                key="home_assistant",
                name="Home Assistant without TLS",
                ports=(PortRange.single(home_assistant.port),),
            ),
        )
    return tuple(risk for risk in risks if risk.concerns(settings))
