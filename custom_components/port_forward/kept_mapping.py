"""A port mapping as it is kept on the disk: in the ledger, and in a forward that has adopted it."""

from typing import NotRequired, TypedDict

import voluptuous as vol

from .routers.model import PortMapping, PortRange, Protocol


class MappingJson(TypedDict):
    """What tells a mapping from all others, and where it leads; not what becomes of it."""

    protocols: list[str]
    external_ports: str
    internal_host: str
    internal_ports: str | None
    allowed_source: str
    id: NotRequired[str]


PROTOCOLS = vol.All([str], vol.Length(min=1), vol.Unique())
MAPPING = {
    vol.Required("protocols"): PROTOCOLS,
    vol.Required("external_ports"): str,
    vol.Required("internal_host"): str,
    vol.Required("internal_ports"): vol.Any(None, str),
    vol.Required("allowed_source"): str,
    "id": str,
}
"""What `mapping_from_json` can read, as far as the types go."""


def mapping_to_json(mapping: PortMapping) -> MappingJson:
    """Return what is kept of a mapping."""
    return {
        "protocols": list(mapping.protocols),
        "external_ports": str(mapping.external_ports),
        "internal_host": mapping.internal_host,
        "internal_ports": str(mapping.internal_ports) if mapping.internal_ports else None,
        "allowed_source": mapping.allowed_source,
        "id": mapping.id,
    }


def mapping_from_json(data: MappingJson) -> PortMapping:
    """Return the mapping; raises ValueError for one that cannot be."""
    internal_ports = data["internal_ports"]
    return PortMapping(
        protocols=tuple(map(Protocol, data["protocols"])),
        external_ports=PortRange.parse(data["external_ports"]),
        internal_host=data["internal_host"],
        internal_ports=PortRange.parse(internal_ports) if internal_ports else None,
        allowed_source=data["allowed_source"],
        id=data.get("id", ""),
    )
