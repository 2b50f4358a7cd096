"""Rows of the router's table of port mappings, from out-arguments to values."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from ..model import PORT_MAX, PortMapping, PortRange, Protocol
from .lenient_xml import NotXmlError, children, fields, find, number, parse

_LONGEST_LEASE = 2**32 - 1
# Characters. IGD has none that are longer (Q42), so that no more need be kept of 64 KiB.
_LONGEST_DESCRIPTION = 256
# Of a DNS name (RFC 1035 section 2.3.4): what is longer is no host.
_LONGEST_HOST = 253
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP}


def read_row(row: Mapping[str, str]) -> PortMapping | None:
    """Return the mapping that a row shows, None for a placeholder or nonsense.

    `row` are the out-arguments of GetGenericPortMappingEntry, or the elements
    of a PortMappingEntry (WANIPConnection:2 section 2.3.26), which are named a
    little differently. Placeholders have no client or the port 0 (Q22). Client
    and remote host stay text (Q27); ports are read strictly (Q26).
    """
    protocol = _PROTOCOLS.get(row.get("NewProtocol", "").upper())
    external = _port(row.get("NewExternalPort", ""))
    if protocol is None or external is None:
        return None
    return read_target(row, protocol, external, row.get("NewRemoteHost", ""))


def read_target(
    row: Mapping[str, str], protocol: Protocol, external: PortRange, allowed_source: str
) -> PortMapping | None:
    """Return the mapping of a known key, as GetSpecificPortMappingEntry answers it.

    None for a placeholder, which some routers give in place of an error.
    """
    internal_host = row.get("NewInternalClient", "")
    if not internal_host or max(len(internal_host), len(allowed_source)) > _LONGEST_HOST:
        return None
    description = row.get("NewPortMappingDescription", row.get("NewDescription", ""))
    lease = row.get("NewLeaseDuration", row.get("NewLeaseTime", ""))
    seconds = number(lease, _LONGEST_LEASE)
    return PortMapping(
        protocols=(protocol,),
        external_ports=external,
        internal_host=internal_host,
        internal_ports=_port(row.get("NewInternalPort", "")),
        allowed_source=allowed_source,
        # Whatever is not clearly off counts as open: that is the error that does no harm.
        enabled=row.get("NewEnabled", "1").lower() not in ("0", "false", "no"),
        description=description[:_LONGEST_DESCRIPTION],
        lease=timedelta(seconds=seconds) if seconds else None,
    )


def read_port_listing(listing: str) -> Iterator[PortMapping]:
    """Iterate over the mappings of a PortMappingList document; raises NotXmlError.

    An answer that holds no such list is none: it must not pass for an empty one.
    Whatever lies deeper in it is somebody's text: a description that is copied
    as it is (Q26) must not pass for a mapping.
    """
    found = find(parse(listing), "PortMappingList")
    if found is None:
        raise NotXmlError("no list of port mappings")
    for entry in children(found, "PortMappingEntry"):
        if row := read_row(fields(entry)):
            yield row


def _port(digits: str) -> PortRange | None:
    port = number(digits, PORT_MAX)
    return PortRange.single(port) if port else None
