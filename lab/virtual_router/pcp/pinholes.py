"""What the router makes of a MAP request for an IPv6 host: a pinhole (RFC 6887 §11.3)."""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from ..pinhole import Ipv6, Pinhole, PinholeTable
from ..quirks import Quirk
from .packet import Granted, MapRequest, PcpError, Result
from .wishes import NUMBERS, PROTOCOLS, check_wish, lifetime, with_filters


def map_pinhole(
    table: PinholeTable, settings: Ipv6, asked: MapRequest, quirks: AbstractSet[Quirk]
) -> Granted:
    """Make, renew or delete a pinhole. Raises PcpError.

    Nothing is translated: what is outside is what is inside.
    """
    if not settings.pinholes_allowed:
        raise PcpError(Result.NOT_AUTHORIZED)
    if asked.lifetime == 0:
        _delete(table, asked, quirks)
        granted = 0
    else:
        granted = _store(table, settings, asked, quirks).lease
    return Granted(
        lifetime=granted,
        external_port=asked.internal_port,
        external_address=asked.internal_host,
    )


def _store(
    table: PinholeTable, settings: Ipv6, asked: MapRequest, quirks: AbstractSet[Quirk]
) -> Pinhole:
    if asked.protocol not in PROTOCOLS or asked.internal_port == 0:
        raise PcpError(Result.UNSUPP_PROTOCOL)
    check_wish(asked, asked.internal_host, asked.internal_port)
    old = next(iter(_meant(table, asked)), None)
    if old and old.nonce != asked.nonce:
        raise PcpError(Result.NOT_AUTHORIZED)
    lease = lifetime(asked, quirks)
    filters = with_filters(asked, old.filters if old else ())
    if Quirk.Q19_PCP in quirks:
        filters = ()
    if old:
        return table.put(replace(old, lease=lease, filters=filters, renewed=True))
    if len(table.rows) >= settings.table_size:
        raise PcpError(Result.NO_RESOURCES)
    return table.add(
        Pinhole(
            protocol=PROTOCOLS[asked.protocol],
            internal_host=str(asked.internal_host),
            internal_port=asked.internal_port,
            lease=lease,
            filters=filters,
            made_by="PCP",
            nonce=asked.nonce,
        )
    )


def _delete(table: PinholeTable, asked: MapRequest, quirks: AbstractSet[Quirk]) -> None:
    """Delete the pinhole, or the client's own of all ports or protocols. Raises PcpError."""
    meant = _meant(table, asked)
    own = [pinhole for pinhole in meant if pinhole.nonce == asked.nonce]
    if Quirk.Q50_PCP in quirks:
        own = [pinhole for pinhole in own if not pinhole.renewed]
    if meant and not own and asked.internal_port:
        raise PcpError(Result.NOT_AUTHORIZED)
    for pinhole in own:
        table.remove(pinhole.unique_id)


def _meant(table: PinholeTable, asked: MapRequest) -> list[Pinhole]:
    """Find the pinholes of PCP that the request is about."""
    return [
        pinhole
        for pinhole in table.rows
        if pinhole.made_by == "PCP"
        and pinhole.internal_host == str(asked.internal_host)
        and asked.protocol in (0, NUMBERS[pinhole.protocol])
        and asked.internal_port in (0, pinhole.internal_port)
    ]
