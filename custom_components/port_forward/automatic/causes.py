"""What opens a forward by itself: traffic from the home, or an entity."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any, Final

from homeassistant.const import (
    STATE_HOME,
    STATE_ON,
    STATE_OPEN,
    STATE_PLAYING,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er

from ..const import (
    CAUSING_DEVICE,
    CONF_INTERNAL_HOST,
    CONF_IP_VERSION,
    CONF_LINGER,
    CONF_OPENED_BY,
    CONF_TRIGGER_PORTS,
    CONF_TRIGGER_PROTOCOL,
    DOMAIN,
    PROTOCOL_BOTH,
)
from ..forwards import FieldError, IpVersion, parse_duration
from ..routers.addresses import is_public
from ..routers.model import Capabilities, Connection, PortRange, Protocol

DEFAULT_LINGER: Final = timedelta(minutes=5)
SHORTEST_LINGER: Final = timedelta(minutes=1)
LONGEST_LINGER: Final = timedelta(days=1)

# The states in which an entity keeps a forward open.
ACTIVE_STATES: Final = frozenset(
    (STATE_ON, STATE_HOME, STATE_OPEN, STATE_PLAYING, "unlocked", "active")
)
_NOT_KNOWN: Final = (STATE_UNAVAILABLE, STATE_UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """Connections from the home to these ports on the internet.

    With `any_device` those of every device count, otherwise only those of the
    forward's own host.
    """

    protocols: tuple[Protocol, ...]
    ports: PortRange
    any_device: bool

    def fits(self, connection: Connection) -> bool:
        """Tell whether a connection is of this kind, whoever began it."""
        return (
            connection.protocol in self.protocols
            and self.ports.first <= connection.destination_port <= self.ports.last
            and is_public(connection.destination)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """What opens a forward: either `traffic` or an entity.

    It stays open for `linger` after that has ended.
    """

    traffic: Traffic | None
    entity_id: str | None
    linger: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Caused:
    """That a forward is opened by its cause, and not by somebody.

    `host` is the device that causes it, where the forward leads to that.
    `was_told`: it has failed before, and that was told.
    """

    host: IPv4Address | None
    was_told: bool


def cause_of(data: Mapping[str, Any]) -> Cause | None:
    """Return what opens a forward by itself, None for nothing; raises FieldError."""
    ports = data.get(CONF_TRIGGER_PORTS, "").strip()
    entity_id = data.get(CONF_OPENED_BY)
    if ports and entity_id:
        raise FieldError(CONF_OPENED_BY, "two_causes")
    any_device = data.get(CONF_INTERNAL_HOST, "").strip() == CAUSING_DEVICE
    if any_device and not ports:
        raise FieldError(CONF_INTERNAL_HOST, "host_without_traffic")
    linger = _linger(data)
    if not ports and not entity_id:
        return None
    traffic = _traffic(data, ports, any_device=any_device) if ports else None
    return Cause(traffic=traffic, entity_id=entity_id, linger=linger)


def check_cause(
    hass: HomeAssistant, data: Mapping[str, Any], capabilities: Capabilities
) -> Cause | None:
    """Return what `cause_of` does, and raise FieldError for more: what will not work."""
    cause = cause_of(data)
    if cause is None:
        return None
    if not SHORTEST_LINGER <= cause.linger <= LONGEST_LINGER:
        raise FieldError(CONF_LINGER, "linger_out_of_range")
    if cause.traffic and capabilities.connection_table is False:
        raise FieldError(CONF_TRIGGER_PORTS, "no_connection_table")
    if cause.entity_id:
        entity = er.async_get(hass).async_get(cause.entity_id)
        if entity and entity.platform == DOMAIN:
            # Its own switch would keep it open for ever, and so would two each other.
            raise FieldError(CONF_OPENED_BY, "opened_by_ours")
    return cause


def is_active(hass: HomeAssistant, entity_id: str) -> bool | None:
    """Tell whether an entity is in one of the states that open; None if it is not known now."""
    state = hass.states.get(entity_id)
    if state is None or state.state in _NOT_KNOWN:
        return None
    return state.state in ACTIVE_STATES


def _traffic(data: Mapping[str, Any], ports: str, *, any_device: bool) -> Traffic:
    if IpVersion(data.get(CONF_IP_VERSION, IpVersion.IPV4)) is not IpVersion.IPV4:
        raise FieldError(CONF_IP_VERSION, "traffic_of_ipv4_only")
    protocol = data.get(CONF_TRIGGER_PROTOCOL, PROTOCOL_BOTH)
    try:
        wanted = PortRange.parse(ports)
    except ValueError:
        raise FieldError(CONF_TRIGGER_PORTS, "invalid_trigger_ports", ports=ports) from None
    return Traffic(
        protocols=tuple(Protocol) if protocol == PROTOCOL_BOTH else (Protocol(protocol),),
        ports=wanted,
        any_device=any_device,
    )


def _linger(data: Mapping[str, Any]) -> timedelta:
    if CONF_LINGER not in data:
        return DEFAULT_LINGER
    linger = parse_duration(data[CONF_LINGER])
    if linger is None or linger <= timedelta(0):
        raise FieldError(CONF_LINGER, "linger_out_of_range")
    return linger
