"""What the router makes of a MAP request for an IPv4 host (RFC 6887 §11.3, §13, §15)."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address

from ..mapping import VirtualMapping
from ..quirks import Quirk
from ..wan import WanConnection, is_ipv4
from .packet import Granted, MapRequest, PcpError, Result
from .rows import NoPortError, from_here, held, place
from .wishes import NUMBERS, PROTOCOLS, check_wish, lifetime, with_filters

LOWEST_USER_PORT = 1024  # Q12


async def map_port(
    wan: WanConnection, asked: MapRequest, quirks: AbstractSet[Quirk], table_size: int
) -> Granted:
    """Make, renew or delete a mapping. Raises PcpError."""
    if asked.lifetime == 0:
        _delete(wan, asked, quirks)
        return Granted(
            lifetime=0,
            external_port=asked.external_port,
            external_address=asked.external_address,
        )
    if asked.protocol not in PROTOCOLS or asked.internal_port == 0:
        # A NAT that shares one address cannot give all ports to one host.
        raise PcpError(Result.UNSUPP_PROTOCOL)
    address = wan.shown_address
    if not wan.connected or not is_ipv4(address):
        raise PcpError(Result.NETWORK_FAILURE)
    if not wan.mappable:
        # As miniupnpd behind another NAT, in the place of NETWORK_FAILURE.
        raise PcpError(Result.NO_RESOURCES)
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
    lax = Quirk.Q48_LAX in quirks
    old = _known(wan, asked)
    first = asked.external_port or asked.internal_port
    if lax and old and old.external_port != first:
        old = None
    if old and old.nonce != asked.nonce and not lax:
        raise PcpError(Result.NOT_AUTHORIZED)
    if not lax:
        check_wish(asked, address, old.external_port if old else None)
    lease = lifetime(asked, quirks)
    filters = with_filters(asked, old.filters if old else ())
    if Quirk.Q19_PCP in quirks:
        filters = ()
    if old:
        row = replace(old, lease=lease, filters=filters, nonce=asked.nonce)
        await wan.put(row)
        return row
    if Quirk.Q12 in quirks and min(first, asked.internal_port) < LOWEST_USER_PORT:
        raise PcpError(Result.NOT_AUTHORIZED)
    if len(wan.mappings) >= table_size:
        raise PcpError(Result.NO_RESOURCES)
    row = VirtualMapping(
        protocol=PROTOCOLS[asked.protocol],
        external_port=first,
        internal_host=str(asked.internal_host),
        internal_port=asked.internal_port,
        description=f"PCP MAP {asked.nonce.hex()}",
        lease=lease,
        filters=filters,
        made_by="PCP",
        nonce=asked.nonce,
    )
    # PREFER_FAILURE with no wish for a port is content with any.
    only_this = asked.prefer_failure and asked.external_port != 0 and not lax
    try:
        return await place(wan, row, [first] if only_this else from_here(first))
    except NoPortError:
        result = Result.CANNOT_PROVIDE_EXTERNAL if only_this else Result.NO_RESOURCES
        raise PcpError(result) from None


def _known(wan: WanConnection, asked: MapRequest) -> VirtualMapping | None:
    """Find the mapping that the request is about; with Q48_LAX the one on its external port."""
    rows = held(
        wan, "PCP", str(asked.internal_host), PROTOCOLS[asked.protocol], asked.internal_port
    )
    on_port = [row for row in rows if row.external_port == asked.external_port]
    return next(iter(on_port or rows), None)


def _delete(wan: WanConnection, asked: MapRequest, quirks: AbstractSet[Quirk]) -> None:
    """Delete the mapping, or the client's own of all ports or protocols. Raises PcpError.

    One that is not there counts as deleted, §15.
    """
    meant = [
        row
        for row in wan.mappings
        if row.made_by == "PCP"
        and row.internal_host == str(asked.internal_host)
        and asked.protocol in (0, NUMBERS[row.protocol])
        and asked.internal_port in (0, row.internal_port)
    ]
    own = [row for row in meant if row.nonce == asked.nonce]
    if meant and not own and asked.internal_port:
        raise PcpError(Result.NOT_AUTHORIZED)
    if Quirk.Q48_LAX in quirks:
        if not own:
            raise PcpError(Result.NO_RESOURCES)
        del own[1:]
    for row in own:
        wan.remove(row.key)
