"""NAT-PMP, the router's side (RFC 6886 §3)."""

import struct
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from enum import IntEnum
from ipaddress import IPv4Address

from ..mapping import VirtualMapping
from ..ports import free_port
from ..quirks import Quirk
from ..wan import WanConnection, is_ipv4
from .rows import NoPortError, from_here, held, place

VERSION = 0
EXTERNAL_ADDRESS, MAP_UDP, MAP_TCP = 0, 1, 2
REPLY = 128

_REQUEST = struct.Struct("!xxxxHHI")
_HEADER = struct.Struct("!BBHI")
_MAP = struct.Struct("!HHI")

PROTOCOLS = {MAP_UDP: "UDP", MAP_TCP: "TCP"}
PROVIDER_LEASE = 60  # seconds, ProtonVPN
LOWEST_USER_PORT = 1024  # Q12


class Result(IntEnum):
    """The result codes, §3.5."""

    SUCCESS = 0
    UNSUPPORTED_VERSION = 1
    NOT_AUTHORIZED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPPORTED_OPCODE = 5


class NatPmp:
    """The NAT-PMP of a WAN."""

    def __init__(
        self, wan: WanConnection, quirks: AbstractSet[Quirk], *, provider: bool, table_size: int
    ) -> None:
        """Map ports of this WAN, as a VPN `provider` does or as a router."""
        self._wan = wan
        self._quirks = quirks
        self._provider = provider
        self._table_size = table_size

    async def answer(self, data: bytes, sender: str, epoch: int) -> bytes | None:
        """Answer a request of version 0 and at least 2 bytes; None for one cut off."""
        opcode = data[1]
        if opcode == EXTERNAL_ADDRESS:
            return self.address(epoch)
        if opcode not in PROTOCOLS:
            # The whole request comes back, with room for the result, §3.5.
            rest = data[_HEADER.size :]
            return _HEADER.pack(VERSION, REPLY | opcode, Result.UNSUPPORTED_OPCODE, epoch) + rest
        if len(data) < _REQUEST.size:
            return None
        internal_port, external_port, lifetime = _REQUEST.unpack_from(data)
        try:
            if lifetime == 0:
                result = self._delete(sender, PROTOCOLS[opcode], internal_port)
                external_port = 0
            else:
                row = await self._map(
                    sender, PROTOCOLS[opcode], internal_port, external_port, lifetime
                )
                external_port, lifetime = row.external_port, row.lease
                result = Result.SUCCESS
        except _RefusedError as error:
            result = error.result
        header = _HEADER.pack(VERSION, REPLY | opcode, result, epoch)
        return header + _MAP.pack(internal_port, external_port, lifetime)

    def address(self, epoch: int) -> bytes:
        """Write the reply with the external address, which is the announcement too, §3.2."""
        address = self._wan.shown_address
        ok = self._wan.connected and is_ipv4(address)
        result = Result.SUCCESS if ok else Result.NETWORK_FAILURE
        shown = IPv4Address(address if ok else 0)
        header = _HEADER.pack(VERSION, REPLY | EXTERNAL_ADDRESS, result, epoch)
        return header + shown.packed

    async def change_external_ports(self) -> None:
        """Give every mapping another external port, as a provider may at any time."""
        moved: dict[tuple[str, int], int] = {}
        for row in self._wan.mappings:
            if row.made_by == "NAT-PMP":
                target = (row.internal_host, row.internal_port)
                port = moved.get(target) or free_port(self._wan.host)
                moved[target] = port
                left = self._wan.remaining(row)
                self._wan.remove(row.key)
                await self._wan.put(replace(row.at(port), lease=left))

    async def _map(
        self, host: str, protocol: str, internal_port: int, external_port: int, lifetime: int
    ) -> VirtualMapping:
        if not self._wan.mappable:
            raise _RefusedError(Result.NETWORK_FAILURE)
        lease = PROVIDER_LEASE if self._provider else lifetime
        if Quirk.Q46_ONE in self._quirks:
            lease = 1
        for old in held(self._wan, "NAT-PMP", host, protocol, internal_port):
            row = replace(old, lease=lease)
            await self._wan.put(row)
            return row
        first = external_port or internal_port
        low = Quirk.Q12 in self._quirks and min(first, internal_port) < LOWEST_USER_PORT
        if internal_port == 0 or low:
            raise _RefusedError(Result.NOT_AUTHORIZED)
        if len(self._wan.mappings) >= self._table_size:
            raise _RefusedError(Result.OUT_OF_RESOURCES)
        row = VirtualMapping(
            protocol=protocol,
            external_port=first,
            internal_host=host,
            internal_port=internal_port,
            description=f"NAT-PMP {first} {protocol.lower()}",
            lease=lease,
            made_by="NAT-PMP",
        )
        try:
            return await place(self._wan, row, self._choices(row, first))
        except NoPortError:
            raise _RefusedError(Result.OUT_OF_RESOURCES) from None

    def _choices(self, row: VirtualMapping, first: int) -> Iterable[int]:
        """Give the external ports to try, in order."""
        if not self._provider:
            return from_here(first)
        # A provider gives both protocols of a port the same number.
        other = "UDP" if row.protocol == "TCP" else "TCP"
        twins = held(self._wan, "NAT-PMP", row.internal_host, other, row.internal_port)
        return from_here(twins[0].external_port if twins else free_port(self._wan.host))

    def _delete(self, host: str, protocol: str, internal_port: int) -> Result:
        """Delete the mapping of a port, or with port 0 all of the client's, §3.4."""
        for row in self._wan.mappings:
            own = (row.made_by, row.internal_host, row.protocol) == ("NAT-PMP", host, protocol)
            if own and internal_port in (0, row.internal_port):
                self._wan.remove(row.key)
        return Result.SUCCESS


def unsupported_version(epoch: int) -> bytes:
    """Write the reply to a request of another version, §3.5: its opcode is 0, without the bit."""
    return _HEADER.pack(VERSION, 0, Result.UNSUPPORTED_VERSION, epoch)


class _RefusedError(Exception):
    """A request is refused."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.name)
        self.result = result
