"""Forwards as the user typed them (subentry data), and as the drivers take them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_DEVICE, CONF_NAME, CONF_PROTOCOL
from homeassistant.helpers import config_validation as cv

from .const import (
    CONF_ADOPTED,
    CONF_ALLOWED_SOURCE,
    CONF_CLOSE_AFTER,
    CONF_CONFIRMED,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_ONLY_WHILE_REACHABLE,
    CONF_UNTIL_CLOSED,
    DEFAULT_CLOSE_AFTER,
    LONGEST_OPENING,
    MAX_MAPPINGS_PER_FORWARD,
    PROTOCOL_BOTH,
)
from .kept_mapping import mapping_from_json
from .routers.model import Forward, PortMapping, PortRange, Protocol


class FieldError(Exception):
    """A value of the form cannot be used: at which field, why, and with what."""

    def __init__(self, field: str, key: str, **placeholders: str) -> None:
        """Take the field of the form and the translation key of the error."""
        super().__init__(f"{field}: {key}")
        self.field = field
        self.key = key
        self.placeholders = placeholders


class IpVersion(StrEnum):
    """Over which of the two internets a forward is reached."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    BOTH = "both"


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardSettings:
    """A forward with everything but its host worked out.

    It leads to `internal_host`, or to wherever the Home Assistant device with
    the id `device` is. With `any_external_port` the external ports are those that the router is
    asked for, and one that chooses may grant others. `close_after` is how
    long the switch opens it, None for until closed. `adopted` is the rule that
    it switches, from which all else but the times is taken then; limits that
    are no addresses are in the rule alone. With `only_while_reachable` it is
    closed when its target does not answer.
    """

    internal_host: str
    ip_version: IpVersion
    protocols: tuple[Protocol, ...]
    external_ports: PortRange
    internal_ports: PortRange
    any_external_port: bool
    allowed_source: IPv4Network | IPv6Network | None
    close_after: timedelta | None
    device: str | None = None
    adopted: PortMapping | None = None
    only_while_reachable: bool = False

    @classmethod
    def from_input(cls, data: Mapping[str, Any]) -> ForwardSettings:
        """Read what the form gave or the subentry holds; raises FieldError."""
        if CONF_ADOPTED in data:
            return cls._of_rule(mapping_from_json(data[CONF_ADOPTED]), data)
        protocols = (
            (Protocol.TCP, Protocol.UDP)
            if data[CONF_PROTOCOL] == PROTOCOL_BOTH
            else (Protocol(data[CONF_PROTOCOL]),)
        )
        internal_host = data.get(CONF_INTERNAL_HOST, "").strip()
        device = data.get(CONF_DEVICE) or None
        if internal_host and device:
            raise FieldError(CONF_DEVICE, "host_and_device")
        if not internal_host and not device:
            raise FieldError(CONF_INTERNAL_HOST, "host_empty")
        internal_ports = _ports(CONF_INTERNAL_PORTS, data[CONF_INTERNAL_PORTS])
        # Left empty, the external ports are the internal ones.
        external = data.get(CONF_EXTERNAL_PORTS, "").strip()
        external_ports = _ports(CONF_EXTERNAL_PORTS, external) if external else internal_ports
        if len(external_ports) != len(internal_ports):
            raise FieldError(
                CONF_EXTERNAL_PORTS,
                "ranges_differ",
                internal=str(len(internal_ports)),
                external=str(len(external_ports)),
            )
        # A forward of an earlier version has none.
        ip_version = IpVersion(data.get(CONF_IP_VERSION, IpVersion.IPV4))
        if device and ip_version is not IpVersion.IPV4:
            # Trackers and DHCP tell of IPv4 only.
            raise FieldError(CONF_IP_VERSION, "device_ipv4_only")
        if ip_version is not IpVersion.IPV4 and external_ports != internal_ports:
            raise FieldError(CONF_EXTERNAL_PORTS, "ipv6_same_ports")
        versions = 2 if ip_version is IpVersion.BOTH else 1
        mappings = len(external_ports) * len(protocols) * versions
        if mappings > MAX_MAPPINGS_PER_FORWARD:
            field = CONF_EXTERNAL_PORTS if external else CONF_INTERNAL_PORTS
            raise FieldError(
                field,
                "too_many_mappings",
                mappings=str(mappings),
                maximum=str(MAX_MAPPINGS_PER_FORWARD),
            )
        return cls(
            internal_host=internal_host,
            device=device,
            ip_version=ip_version,
            protocols=protocols,
            external_ports=external_ports,
            internal_ports=internal_ports,
            any_external_port=not external,
            allowed_source=_source(data.get(CONF_ALLOWED_SOURCE, "").strip(), ip_version),
            close_after=_close_after(data),
            only_while_reachable=data.get(CONF_ONLY_WHILE_REACHABLE, False),
        )

    @classmethod
    def _of_rule(cls, rule: PortMapping, data: Mapping[str, Any]) -> ForwardSettings:
        return cls(
            internal_host=rule.internal_host,
            ip_version=IpVersion.IPV6 if rule.is_pinhole else IpVersion.IPV4,
            protocols=rule.protocols,
            external_ports=rule.external_ports,
            internal_ports=rule.internal_ports or rule.external_ports,
            any_external_port=False,
            allowed_source=None,
            close_after=_close_after(data),
            adopted=rule,
            only_while_reachable=data.get(CONF_ONLY_WHILE_REACHABLE, False),
        )

    def clashes_with(self, other: ForwardSettings) -> bool:
        """Tell whether both want the same external port of the same protocol.

        Over IPv6 each host has all ports for itself. Of rules that the router
        has already, it knows itself which of them may be on together.
        """
        if self.adopted and other.adopted:
            return self.adopted.same_rule(other.adopted)
        share_ipv4 = IpVersion.IPV6 not in (self.ip_version, other.ip_version)
        share_ipv6 = IpVersion.IPV4 not in (self.ip_version, other.ip_version)
        same_host = self.internal_host == other.internal_host
        if not (share_ipv4 or (share_ipv6 and same_host)):
            return False
        return not set(self.protocols).isdisjoint(other.protocols) and self.external_ports.overlaps(
            other.external_ports
        )

    def forward(
        self,
        forward_id: str,
        name: str,
        hosts: tuple[IPv4Address | None, IPv6Address | None],
        home: str,
    ) -> Forward:
        """Return the forward of the Home Assistant `home`, aimed at its host as it resolved."""
        internal_host, internal_host6 = hosts
        return Forward(
            id=forward_id,
            name=name,
            internal_host=internal_host,
            internal_host6=internal_host6,
            protocols=self.protocols,
            external_ports=self.external_ports,
            internal_ports=self.internal_ports,
            allowed_source=self.allowed_source,
            any_external_port=self.any_external_port,
            adopted=self.adopted,
            home=home,
        )


def check_name(name: str) -> None:
    """Raise FieldError for a name that shows nothing."""
    if not name.strip():
        raise FieldError(CONF_NAME, "name_empty")


def check_confirmed(*, confirmed: bool) -> None:
    """Raise FieldError for a risk that the user has not confirmed."""
    if not confirmed:
        raise FieldError(CONF_CONFIRMED, "not_confirmed")


def check_free(settings: ForwardSettings, others: Iterable[ConfigSubentry]) -> None:
    """Raise FieldError when another forward has an external port of `settings`."""
    for other in others:
        if settings.clashes_with(ForwardSettings.from_input(other.data)):
            if settings.adopted:
                raise FieldError(
                    "base",
                    "rule_in_use",
                    ports=str(settings.external_ports),
                    forward=other.title,
                )
            raise FieldError(
                CONF_EXTERNAL_PORTS,
                "ports_in_use",
                ports=str(settings.external_ports),
                forward=other.title,
            )


def _ports(field: str, text: str) -> PortRange:
    try:
        return PortRange.parse(text)
    except ValueError:
        raise FieldError(field, "invalid_ports", ports=text) from None


def parse_source(text: str) -> IPv4Network | IPv6Network:
    """Return the address or the network that may connect; raises FieldError."""
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise FieldError(CONF_ALLOWED_SOURCE, "invalid_source", source=text) from None
    if network.prefixlen == network.max_prefixlen and not _is_a_source(network.network_address):
        raise FieldError(CONF_ALLOWED_SOURCE, "invalid_source", source=text)
    return network


def _source(text: str, ip_version: IpVersion) -> IPv4Network | IPv6Network | None:
    if not text:
        return None
    network = parse_source(text)
    only = IpVersion.IPV4 if isinstance(network, IPv4Network) else IpVersion.IPV6
    if ip_version is not only:
        # It would limit one of the two, and leave the other open to everybody.
        raise FieldError(CONF_ALLOWED_SOURCE, "source_of_other_version", source=text)
    # The whole internet as a network is what an empty field means.
    return network if network.prefixlen else None


def parse_duration(fields: object) -> timedelta | None:
    """Read a duration as forms give it, None for one that cannot be."""
    try:
        duration: timedelta = cv.time_period_dict(fields)
    except vol.Invalid, OverflowError:
        return None
    return duration


def _close_after(data: Mapping[str, Any]) -> timedelta | None:
    if data.get(CONF_UNTIL_CLOSED):
        return None
    # A forward of an earlier version has neither field.
    if CONF_CLOSE_AFTER not in data:
        return DEFAULT_CLOSE_AFTER
    close_after = parse_duration(data[CONF_CLOSE_AFTER])
    if close_after is None or not timedelta(0) < close_after <= LONGEST_OPENING:
        raise FieldError(
            CONF_CLOSE_AFTER, "close_after_out_of_range", days=str(LONGEST_OPENING.days)
        )
    return close_after


def _is_a_source(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether packets can come from the address.

    0.0.0.0 means any source to many routers, so it must not pass for a single one.
    """
    return not (address.is_unspecified or address.is_multicast or address.is_reserved)
