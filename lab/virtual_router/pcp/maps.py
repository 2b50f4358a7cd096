"""What the router makes of a MAP request (RFC 6887 §11.3, §13, §15)."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address

from ..mapping import SourceFilter, VirtualMapping
from ..quirks import Quirk
from ..wan import WanConnection, is_ipv4
from .packet import Granted, MapRequest, PcpError, Result
from .rows import NoPortError, from_here, held, place

PROTOCOLS = {6: "TCP", 17: "UDP"}
SHORTEST_LEASE, LONGEST_LEASE = 120, 86400  # seconds, as §15 recommends (Q46)
MOST_FILTERS = 16
LOWEST_USER_PORT = 1024  # Q12


async def grant(
    wan: WanConnection, asked: MapRequest, quirks: AbstractSet[Quirk], table_size: int
) -> Granted:
    """Make, renew or delete a mapping. Raises PcpError."""
    if asked.protocol == 0 and asked.internal_port != 0:
        raise PcpError(Result.MALFORMED_REQUEST)
    if not isinstance(asked.internal_host, IPv4Address):
        # An IPv6 host needs no mapping here: no port of it is behind this NAT.
        raise PcpError(Result.UNSUPP_PROTOCOL)
    if asked.lifetime == 0:
        _delete(wan, asked)
        return Granted(
            lifetime=0,
            external_port=asked.external_port,
            external_address=asked.external_address,
        )
    if asked.protocol not in PROTOCOLS or asked.internal_port == 0:
        # A NAT that shares one address cannot give all ports to one host.
        raise PcpError(Result.UNSUPP_PROTOCOL)
    address = wan.shown_address
    if not wan.mappable or not is_ipv4(address):
        raise PcpError(Result.NETWORK_FAILURE)
    row = await _store(wan, asked, IPv4Address(address), quirks, table_size)
    return Granted(
        lifetime=row.lease, external_port=row.external_port, external_address=IPv4Address(address)
    )


async def _store(
    wan: WanConnection,
    asked: MapRequest,
    address: IPv4Address,
    quirks: AbstractSet[Quirk],
    table_size: int,
) -> VirtualMapping:
    host, protocol = str(asked.internal_host), PROTOCOLS[asked.protocol]
    old = held(wan, "PCP", host, protocol, asked.internal_port)
    if old and old.nonce != asked.nonce:
        raise PcpError(Result.NOT_AUTHORIZED)
    _check_wish(asked, address, old)
    lease = asked.lifetime
    if Quirk.Q46 in quirks:
        lease = min(max(lease, SHORTEST_LEASE), LONGEST_LEASE)
    filters = _filters(asked, old)
    if Quirk.Q19_PCP in quirks:
        filters = ()
    if old:
        row = replace(old, lease=lease, filters=filters)
        await wan.put(row)
        return row
    first = asked.external_port or asked.internal_port
    if Quirk.Q12 in quirks and min(first, asked.internal_port) < LOWEST_USER_PORT:
        raise PcpError(Result.NOT_AUTHORIZED)
    if len(wan.mappings) >= table_size:
        raise PcpError(Result.NO_RESOURCES)
    row = VirtualMapping(
        protocol=protocol,
        external_port=first,
        internal_host=host,
        internal_port=asked.internal_port,
        description=f"PCP MAP {asked.nonce.hex()}",
        lease=lease,
        filters=filters,
        made_by="PCP",
        nonce=asked.nonce,
    )
    # PREFER_FAILURE with no wish for a port is content with any.
    only_this = asked.prefer_failure and asked.external_port != 0
    try:
        return await place(wan, row, [first] if only_this else from_here(first))
    except NoPortError:
        result = Result.CANNOT_PROVIDE_EXTERNAL if only_this else Result.NO_RESOURCES
        raise PcpError(result) from None


def _check_wish(asked: MapRequest, address: IPv4Address, old: VirtualMapping | None) -> None:
    """Raise PcpError when PREFER_FAILURE asks for what the mapping cannot have, §13.2."""
    if not asked.prefer_failure:
        return
    any_address = asked.external_address.is_unspecified
    if any_address and asked.external_port == 0:
        raise PcpError(Result.MALFORMED_OPTION)
    other_port = old is not None and asked.external_port not in (0, old.external_port)
    if other_port or not (any_address or asked.external_address == address):
        raise PcpError(Result.CANNOT_PROVIDE_EXTERNAL)


def _filters(asked: MapRequest, old: VirtualMapping | None) -> tuple[SourceFilter, ...]:
    """Add the filters to those that the mapping has, §13.3. Raises PcpError."""
    filters = list(old.filters) if old else []
    for wanted in asked.filters:
        if wanted is None:
            filters.clear()
        elif wanted not in filters:
            filters.append(wanted)
    if len(filters) > MOST_FILTERS:
        raise PcpError(Result.EXCESSIVE_REMOTE_PEERS)
    return tuple(filters)


def _delete(wan: WanConnection, asked: MapRequest) -> None:
    """Delete the mapping, or the client's own of all ports or protocols. Raises PcpError.

    One that is not there counts as deleted, §15.
    """
    for row in wan.mappings:
        if row.made_by != "PCP" or row.internal_host != str(asked.internal_host):
            continue
        if asked.protocol not in (0, 6 if row.protocol == "TCP" else 17):
            continue
        if asked.internal_port not in (0, row.internal_port):
            continue
        if row.nonce == asked.nonce:
            wan.remove(row.key)
        elif asked.internal_port:
            raise PcpError(Result.NOT_AUTHORIZED)
