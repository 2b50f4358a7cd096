"""How the router shows its port mapping table."""

from xml.sax.saxutils import escape

from .call import HIGHEST_PORT, Values, WanCall, number, read_protocol
from .mapping import VirtualMapping
from .quirks import Quirk
from .soap import UpnpError, text

DEADLY_LIST = 128  # rows that miniupnpd 2.3.1 has room for (Q23)
PLACEHOLDER = VirtualMapping(
    protocol="TCP", external_port=0, internal_host="", internal_port=0, enabled=False
)
NAMED_CLIENT = VirtualMapping(
    protocol="TCP",
    external_port=3074,
    internal_host="xbox.lan",
    internal_port=3074,
    remote_host="*",
    description="Xbox",
)


class UnparsableReplyError(Exception):
    """The router answers with a body that is no XML."""


class DaemonDiedError(Exception):
    """The request was the router's last."""


async def generic_entry(call: WanCall) -> Values:
    """GetGenericPortMappingEntry."""
    index = number(call.arguments["NewPortMappingIndex"], HIGHEST_PORT)
    rows = _shown(call)
    if index < len(rows):
        return row_arguments(call, rows[index])
    if rows and Quirk.Q21 in call.quirks:
        return row_arguments(call, rows[-1])
    if Quirk.Q20_GARBAGE in call.quirks:
        raise UnparsableReplyError
    if Quirk.Q20_402 in call.quirks:
        raise UpnpError(402)
    raise UpnpError(714 if {Quirk.Q20, Quirk.Q20_714} & call.quirks else 713)


async def list_of_mappings(call: WanCall) -> Values:
    """GetListOfPortMappings, WANIPConnection:2 §2.5.21.

    NewManage=0 shows the mappings of the caller only, NewNumberOfPorts=0 shows all.
    """
    manage = call.arguments["NewManage"]
    if Quirk.Q24 in call.quirks:
        raise UpnpError(401)
    if manage == "1" and Quirk.Q24_606 in call.quirks:
        raise UpnpError(606)
    first = number(call.arguments["NewStartPort"], HIGHEST_PORT)
    last = number(call.arguments["NewEndPort"], HIGHEST_PORT)
    most = number(call.arguments["NewNumberOfPorts"], HIGHEST_PORT)
    protocol = read_protocol(call)
    if manage not in ("0", "1"):
        raise UpnpError(402)
    if first > last:
        raise UpnpError(733)
    rows = [
        row
        for row in _shown(call)
        if row.protocol == protocol and first <= row.external_port <= last
    ]
    if len(rows) > DEADLY_LIST and Quirk.Q23 in call.quirks:
        raise DaemonDiedError
    if manage == "0":
        rows = [row for row in rows if row.internal_host == call.caller]
    if not rows:
        raise UpnpError(730)
    return {"NewPortListing": _listing(call, rows[: most or None])}


def row_arguments(call: WanCall, row: VirtualMapping) -> Values:
    """Give the row as the out-arguments of GetGenericPortMappingEntry."""
    return {
        "NewRemoteHost": row.remote_host,
        "NewExternalPort": str(row.external_port),
        "NewProtocol": row.protocol,
        "NewInternalPort": str(row.internal_port),
        "NewInternalClient": row.internal_host,
        "NewEnabled": "1" if row.enabled else "0",
        "NewPortMappingDescription": row.description,
        "NewLeaseDuration": str(call.wan.remaining(row)),
    }


def _shown(call: WanCall) -> list[VirtualMapping]:
    rows = list(call.wan.mappings)
    if Quirk.Q25 in call.quirks:
        rows = [row for row in rows if row.internal_host == call.caller]
    if Quirk.Q27 in call.quirks:
        rows.append(NAMED_CLIENT)
    if Quirk.Q22 in call.quirks:
        rows = [PLACEHOLDER, *(shown for row in rows for shown in (row, PLACEHOLDER))]
    return rows


# The list calls two of the arguments by other names than the actions do.
_LIST_NAMES = {
    "NewPortMappingDescription": "NewDescription",
    "NewLeaseDuration": "NewLeaseTime",
}


def _listing(call: WanCall, rows: list[VirtualMapping]) -> str:
    """Render the document of WANIPConnection:2 §2.3.25; the reply escapes it as its argument."""
    entries = []
    for row in rows:
        values = "".join(
            f"<p:{_LIST_NAMES.get(name, name)}>{text(value, call.quirks)}"
            f"</p:{_LIST_NAMES.get(name, name)}>"
            for name, value in row_arguments(call, row).items()
        )
        entries.append(f"<p:PortMappingEntry>{values}</p:PortMappingEntry>")
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<p:PortMappingList xmlns:p="urn:schemas-upnp-org:gw:WANIPConnection"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:schemaLocation="urn:schemas-upnp-org:gw:WANIPConnection'
        ' http://www.upnp.org/schemas/gw/WANIPConnection-v2.xsd">'
        f"{''.join(entries)}</p:PortMappingList>"
    )
    # What is raw inside the list (Q26) is raw there only: its wrapping is escaped as ever.
    return escape(document) if Quirk.Q26 in call.quirks else document
