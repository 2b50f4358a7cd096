"""What the actions of TR-064 do that port forwards need."""

import asyncio
from collections.abc import Mapping

from .sharing import Place, PortSharing, Sharing, TableError

type Values = Mapping[str, str]

_ANYBODY = ("", "0.0.0.0")  # noqa: S104  no source; nothing is bound
_WRITES = ("AddPortMapping", "DeletePortMapping")
_HIGHEST_PORT = 65535
_LONGEST_DESCRIPTION = 256


class Connection:
    """A WAN connection service; the one that is not in use answers all the same."""

    def __init__(self, sharing: PortSharing, external_address: str) -> None:
        """Take the table of the box; an empty address means that it is not in use."""
        self._sharing = sharing
        self.external_address = external_address
        self.up_since = 0.0
        self.second_factor = False
        """Ask for a code or a button before each change."""
        self.own_rows_only = False
        """List nothing but what is for the caller."""

    async def act(self, action: str, arguments: Values, caller: str, *, may_set: bool) -> Values:
        """Return the out-arguments; raises TableError and KeyError for a missing argument."""
        if action not in _HANDLERS:
            raise TableError(401)
        if not may_set:
            raise TableError(606)
        if action in _WRITES and self.second_factor:
            raise TableError(866)
        return await _HANDLERS[action](self, arguments, caller)

    async def status(self, _: Values, __: str) -> Values:
        """GetStatusInfo."""
        connected = bool(self.external_address)
        uptime = int(asyncio.get_running_loop().time() - self.up_since) if connected else 0
        return {
            "NewConnectionStatus": "Connected" if connected else "Unconfigured",
            "NewLastConnectionError": "ERROR_NONE",
            "NewUptime": str(uptime),
        }

    async def address(self, _: Values, __: str) -> Values:
        """GetExternalIPAddress."""
        return {"NewExternalIPAddress": self.external_address}

    async def number(self, _: Values, caller: str) -> Values:
        """GetPortMappingNumberOfEntries."""
        return {"NewPortMappingNumberOfEntries": str(len(self._shown(caller)))}

    async def generic(self, arguments: Values, caller: str) -> Values:
        """GetGenericPortMappingEntry."""
        index = _number(arguments["NewPortMappingIndex"], _HIGHEST_PORT)
        rows = self._shown(caller)
        if index >= len(rows):
            raise TableError(713)
        row = rows[index]
        place = {
            "NewRemoteHost": "0.0.0.0",  # noqa: S104  no source; nothing is bound
            "NewExternalPort": str(row.external_port),
            "NewProtocol": row.protocol,
        }
        return {**place, **self._target(row)}

    async def specific(self, arguments: Values, _: str) -> Values:
        """GetSpecificPortMappingEntry."""
        row = self._sharing.find(_place(arguments))
        if row is None:
            raise TableError(714)
        return self._target(row)

    async def add(self, arguments: Values, caller: str) -> Values:
        """AddPortMapping, which changes the row where there is one."""
        protocol, port = _place(arguments)
        enabled = {"1": True, "0": False}.get(arguments["NewEnabled"])
        description = arguments["NewPortMappingDescription"]
        if enabled is None or port == 0:
            raise TableError(402)
        if len(description) > _LONGEST_DESCRIPTION:
            raise TableError(801)
        row = Sharing(
            protocol=protocol,
            external_port=port,
            host=arguments["NewInternalClient"],
            internal_port=_number(arguments["NewInternalPort"], _HIGHEST_PORT),
            enabled=enabled,
            description=description,
            lease=_number(arguments["NewLeaseDuration"], 2**32 - 1),
        )
        await self._sharing.add_for(caller, row)
        return {}

    async def delete(self, arguments: Values, caller: str) -> Values:
        """DeletePortMapping."""
        await self._sharing.remove_for(caller, _place(arguments))
        return {}

    def _shown(self, caller: str) -> list[Sharing]:
        rows = self._sharing.rows
        return [row for row in rows if row.host == caller or not self.own_rows_only]

    def _target(self, row: Sharing) -> Values:
        return {
            "NewInternalPort": str(row.internal_port),
            "NewInternalClient": row.host,
            "NewEnabled": "1" if row.enabled else "0",
            "NewPortMappingDescription": row.description,
            "NewLeaseDuration": str(self._sharing.remaining(row)),
        }


_HANDLERS = {
    "GetStatusInfo": Connection.status,
    "GetExternalIPAddress": Connection.address,
    "GetPortMappingNumberOfEntries": Connection.number,
    "GetGenericPortMappingEntry": Connection.generic,
    "GetSpecificPortMappingEntry": Connection.specific,
    "AddPortMapping": Connection.add,
    "DeletePortMapping": Connection.delete,
}


def _place(arguments: Values) -> Place:
    if arguments["NewRemoteHost"] not in _ANYBODY or arguments["NewProtocol"] not in ("TCP", "UDP"):
        raise TableError(402)
    return arguments["NewProtocol"], _number(arguments["NewExternalPort"], _HIGHEST_PORT)


def _number(digits: str, highest: int) -> int:
    if not (digits.isascii() and digits.isdigit() and int(digits) <= highest):
        raise TableError(402)
    return int(digits)
