"""What the router does when an action is called."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from .call import HIGHEST_PORT, Values, WanCall, read_key, read_mapping
from .listing import generic_entry, list_of_mappings, row_arguments
from .mapping import VirtualMapping
from .quirks import Quirk
from .refusals import refuse
from .soap import UpnpError
from .wan import WILDCARDS, rows_at_most

WEEK = 604800  # seconds: the longest lease, WANIPConnection:2 §2.3.16
SHOWN_DESCRIPTION = 63  # characters


async def get_status_info(call: WanCall) -> Values:
    """GetStatusInfo."""
    status = "Up" if call.wan.connected and Quirk.Q31 in call.quirks else call.wan.status
    return {
        "NewConnectionStatus": status,
        "NewLastConnectionError": "ERROR_NONE",
        "NewUptime": str(call.wan.uptime if call.wan.connected else 0),
    }


async def get_external_ip_address(call: WanCall) -> Values:
    """GetExternalIPAddress."""
    return {"NewExternalIPAddress": call.wan.shown_address}


async def add_port_mapping(call: WanCall) -> Values:
    """AddPortMapping."""
    asked = read_mapping(call)
    if asked.external_port == 0:
        raise UpnpError(716)
    refuse(call, asked)
    await _store(call, asked)
    return {}


async def add_any_port_mapping(call: WanCall) -> Values:
    """AddAnyPortMapping: the port asked for, or the next free one above (or below, at the top)."""
    asked = read_mapping(call)
    first = asked.external_port or asked.internal_port
    refuse(call, replace(asked, external_port=first))
    for port in (*range(first, HIGHEST_PORT + 1), *range(first - 1, 1023, -1)):
        try:
            await _store(call, replace(asked, external_port=port))
        except UpnpError as error:
            # 501 here is a port that another program of this machine has.
            if error.code not in (501, 718, 729):
                raise
        else:
            return {"NewReservedPort": str(port)}
    raise UpnpError(728)


async def delete_port_mapping(call: WanCall) -> Values:
    """DeletePortMapping."""
    mapping = call.wan.find(read_key(call))
    if mapping is None:
        if Quirk.Q45 in call.quirks:
            return {}
        raise UpnpError(714)
    own_only = call.secure_mode or {Quirk.Q11, Quirk.Q13} & call.quirks
    if own_only and mapping.internal_host != call.caller:
        # As miniupnpd: on IGD:1 another's mapping does not exist for the caller.
        raise UpnpError(714 if call.igd == 1 else 606)
    call.wan.remove(mapping.key)
    return {}


async def get_specific_port_mapping_entry(call: WanCall) -> Values:
    """GetSpecificPortMappingEntry."""
    mapping = call.wan.find(read_key(call))
    if mapping is None:
        raise UpnpError(714)
    row = row_arguments(call, mapping)
    return {name: row[name] for name in call.service.actions["GetSpecificPortMappingEntry"].outputs}


WAN_HANDLERS: dict[str, Callable[[WanCall], Awaitable[Values]]] = {
    "GetStatusInfo": get_status_info,
    "GetExternalIPAddress": get_external_ip_address,
    "AddPortMapping": add_port_mapping,
    "AddAnyPortMapping": add_any_port_mapping,
    "DeletePortMapping": delete_port_mapping,
    "GetSpecificPortMappingEntry": get_specific_port_mapping_entry,
    "GetGenericPortMappingEntry": generic_entry,
    "GetListOfPortMappings": list_of_mappings,
}


async def _store(call: WanCall, asked: VirtualMapping) -> None:
    """Put the mapping into the table. Raises UpnpError saying why not."""
    mapping = _granted(call, asked)
    _check_conflicts(call, mapping)
    if Quirk.Q07 in call.quirks:
        return
    known = call.wan.find(mapping.key) is not None
    if not known and len(call.wan.mappings) >= rows_at_most(call.table_size, call.quirks):
        if Quirk.Q08 in call.quirks:
            return
        raise UpnpError(_table_full_code(call))
    try:
        await call.wan.put(mapping)
    except OSError:
        # Another program of this machine has the port.
        raise UpnpError(501) from None


def _granted(call: WanCall, asked: VirtualMapping) -> VirtualMapping:
    mapping = replace(asked, lease=_granted_lease(call, asked.lease))
    if {Quirk.Q19, Quirk.Q19_STRICT} & call.quirks:
        mapping = replace(mapping, remote_host="")
    if Quirk.Q42 in call.quirks:
        mapping = replace(mapping, description=asked.description[:SHOWN_DESCRIPTION])
    return mapping


def _check_conflicts(call: WanCall, mapping: VirtualMapping) -> None:
    """Raise UpnpError when the port is somebody else's."""
    if mapping.protocol == "TCP" and mapping.external_port in call.own_tcp_ports:
        raise UpnpError(718 if call.igd == 1 else 729)
    held = call.wan.find(mapping.key)
    rivals = [held] if held else []
    if Quirk.Q10 in call.quirks:
        rivals = call.wan.on_port(mapping.protocol, mapping.external_port)
    if any(rival.internal_host != mapping.internal_host for rival in rivals):
        raise UpnpError(718)
    if held and mapping.remote_host in WILDCARDS[1:] and Quirk.Q18_NFT in call.quirks:
        raise UpnpError(718)


def _granted_lease(call: WanCall, asked: int) -> int:
    if {Quirk.Q01, Quirk.Q02, Quirk.Q05} & call.quirks:
        return asked
    if call.igd == 1 and Quirk.Q04 not in call.quirks:
        return asked
    return asked if 0 < asked <= WEEK else WEEK


def _table_full_code(call: WanCall) -> int:
    if Quirk.Q09_402 in call.quirks:
        return 402
    # IGD:1 has no code of its own for it.
    return 728 if Quirk.Q09 in call.quirks or call.igd > 1 else 501
