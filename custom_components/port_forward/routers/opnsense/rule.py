"""Destination NAT rules: from rows of the API to values, and from what is wanted to fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..model import PortMapping, PortRange, Protocol
from ..rule_texts import network_of, source_of
from .ports import read_internal_ports, read_ports

type Fields = Mapping[str, str]
"""Fields of a rule by their dotted names, such as `source.network`."""

_PROTOCOLS = {
    "": (Protocol.TCP, Protocol.UDP),
    "tcp": (Protocol.TCP,),
    "udp": (Protocol.UDP,),
    "tcp/udp": (Protocol.TCP, Protocol.UDP),
}
_FAMILIES = {"inet": {4}, "inet6": {6}}
_NOT_SENT = {"nordr": "0", "tagged": "", "poolopts": ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule as saved; `fields` are those of its row that are text.

    `external_ports` is None where they are an alias. Rules that the firewall
    makes by itself are `automatic`.
    """

    uuid: str
    fields: Fields
    automatic: bool

    @property
    def enabled(self) -> bool:
        """Tell whether it takes part."""
        return self.fields.get("disabled") != "1"

    @property
    def redirects(self) -> bool:
        """Tell whether it leads somewhere, or just keeps later rules from doing so."""
        return self.fields.get("nordr") != "1"

    def is_for(self, interface: str) -> bool:
        """Tell whether it is for what comes in there; one without interfaces is for all."""
        interfaces = self.fields.get("interface", "")
        return not interfaces or interface in interfaces.split(",")

    @property
    def families(self) -> set[int]:
        """Return the versions of IP that it is for."""
        return _FAMILIES.get(self.fields.get("ipprotocol", ""), {4, 6})

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """Return what it is for of the two; none for a rule of other protocols."""
        return _PROTOCOLS.get(self.fields.get("protocol", "").lower(), ())

    @property
    def is_for_any_protocol(self) -> bool:
        """Tell whether it is for more than a port mapping can tell."""
        return not self.fields.get("protocol")

    @property
    def external_ports(self) -> PortRange | None:
        """Return the ports that it is for."""
        return read_ports(self.fields.get("destination.port", ""))

    @property
    def description(self) -> str:
        """Return what people call it."""
        return self.fields.get("descr", "")

    @property
    def mapping(self) -> PortMapping | None:
        """Return it as a port mapping; None for what is none, or cannot be told as one."""
        external = self.external_ports
        target = self.fields.get("target", "")
        if self.automatic or not self.redirects or external is None or not target:
            return None
        if not self.protocols:
            return None
        source = plain(self.fields.get("source.network", ""))
        return PortMapping(
            protocols=self.protocols,
            external_ports=external,
            internal_host=target,
            internal_ports=read_internal_ports(self.fields.get("local-port", ""), external),
            allowed_source=f"!{source}" if self.fields.get("source.not") == "1" else source,
            enabled=self.enabled,
            description=self.description,
            id=self.uuid,
        )

    def has(self, fields: Fields) -> bool:
        """Tell whether it is as it was asked for, and not wider in any way."""
        return all(
            self.fields.get(key, "") == value for key, value in {**fields, **_NOT_SENT}.items()
        )


def read_rules(rows: object) -> Iterator[Rule]:
    """Iterate over the rules of a reply to searchRule; rows of nonsense are left out."""
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(uuid := row.get("uuid"), str) and uuid:
            fields = {key: value for key, value in row.items() if isinstance(value, str)}
            yield Rule(uuid=uuid, fields=fields, automatic=bool(row.get("is_automatic")))


def fields_of(mapping: PortMapping, interface: str) -> dict[str, str]:
    """Return the fields of the rule for `mapping` on `interface`.

    Never without a port: the rule would be for all of them. An IPv6 rule is
    for packets to the internal host itself and leads them there.
    """
    ports = mapping.internal_ports or mapping.external_ports
    protocols = set(mapping.protocols)
    return {
        "disabled": "0",
        "interface": interface,
        "ipprotocol": "inet6" if mapping.is_pinhole else "inet",
        "protocol": "tcp/udp" if len(protocols) > 1 else mapping.protocols[0].value,
        "source.network": mapping.allowed_source,
        "source.port": "",
        "source.not": "0",
        "destination.network": mapping.internal_host if mapping.is_pinhole else f"{interface}ip",
        "destination.port": str(mapping.external_ports),
        "destination.not": "0",
        "target": mapping.internal_host,
        # Of a range the first: the others follow one to one.
        "local-port": str(ports.first),
        "log": "0",
        "descr": mapping.description,
        "natreflection": "disable",
        # Without it nothing passes but by a filter rule of the user's own.
        "pass": "pass",
    }


def nested(fields: Fields) -> dict[str, object]:
    """Return fields as a request holds them."""
    rule: dict[str, object] = {}
    for key, value in fields.items():
        outer, dot, inner = key.partition(".")
        if dot:
            branch = rule.setdefault(outer, {})
            assert isinstance(branch, dict)  # noqa: S101  made right here
            branch[inner] = value
        else:
            rule[key] = value
    return rule


def plain(source: str) -> str:
    """Return a source in its one spelling: "" for any, a single address without its prefix."""
    if source == "any":
        return ""
    network = network_of(source)
    return source if network is None else source_of(network)
