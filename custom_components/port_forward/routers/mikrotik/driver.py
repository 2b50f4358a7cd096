"""The driver: the contract of `Router`, kept over the REST API of RouterOS 7."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import override

import aiohttp

from ..clock import utc_now
from ..errors import (
    NotClosedError,
    NotMappedError,
    Refusal,
    RuleChangedError,
    UnsupportedError,
)
from ..model import (
    Capabilities,
    Connection,
    Forward,
    Leases,
    Listing,
    Owner,
    PortMapping,
    RouterInfo,
    Snapshot,
)
from ..refusals import not_permitted
from ..router import Router
from ..rule_texts import owner_of, rule_id_of
from ..tls import ssl_of
from ..transport import TIMEOUT, Transport
from ..versions import check_version
from .admission import LEASES, Admission
from .connections import list_connections
from .opening import Opening
from .removal import remove
from .rest import Rest, RestError, Row
from .rules import FILTER6, NAT, leads_like, planned, read_row
from .table import IPV6, read_table
from .wan import Wan, find_wan, public_address
from .words import duration_of, is_on

NEEDED = (7, 9)
"""The oldest version whose menus were checked, and the first with REST without TLS."""

_PROBE = "ha-pf-probe"
_PROBE_TIME = timedelta(seconds=30)
_COUNTERS = {"bytes", "packets"}


def from_settings(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> MikrotikRouter:
    """Return the router at `url`, for `username` and `password`.

    `wan` is the interface list or the interface of the internet, "" or absent
    for the stock one; `fingerprint` is that of `tls.ssl_of`.
    """
    return MikrotikRouter(session, settings, learned=learned)


class MikrotikRouter(Router):
    """One router with RouterOS 7."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        learned: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take the settings as `from_settings` tells; `timeout` is in seconds a request."""
        self._url = settings["url"].rstrip("/")
        transport = Transport(session, timeout=timeout, ssl=ssl_of(settings))
        self._rest = Rest(transport, self._url, settings["username"], settings["password"])
        self._wanted_wan = settings.get("wan", "")
        self._learned = dict(learned or {})
        self._clock = clock
        self._found_wan: Wan | None = None

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What this router can do as far as it is known by now."""
        ipv6 = self._learned.get(IPV6)
        return Capabilities(
            listing=Listing.FULL,
            leases=Leases(self._learned.get(LEASES, Leases.UNKNOWN)),
            allowed_source=True,
            other_hosts=True,
            port_ranges=True,
            both_protocols=False,
            ipv6=None if ipv6 is None else ipv6 == "yes",
            hit_counters=True,
            disabled_rules=True,
            connection_table=True,
        )

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        """What was found out about the router and is worth knowing at the next start."""
        return {key: str(value) for key, value in self._learned.items()}

    @override
    async def connect(self) -> RouterInfo:
        """Find out who the router is, which side of it is the internet, and what is allowed.

        The rights are tried once, by what is learned in it.

        Raises AuthenticationFailedError (also where the user's group lacks
        `rest-api`, which RouterOS answers alike), MissingRightsError,
        TooOldError, UnsupportedError.
        """
        resource = await self._rest.single("system/resource")
        version = resource.get("version", "").partition(" ")[0]
        check_version(version, NEEDED, product="RouterOS", host=self._rest.host)
        identity = await self._rest.single("system/identity")
        board = await self._board()
        serial = board.get("serial-number", "")
        unique_id = serial or await self._license_id()
        await self._find_wan()
        if LEASES not in self._learned:
            await self.check_rights()
        return RouterInfo(
            unique_id=unique_id,
            name=identity.get("name") or "MikroTik",
            manufacturer="MikroTik",
            model=resource.get("board-name") or board.get("model"),
            version=version,
            serial_number=serial or None,
            configuration_url=self._url,
        )

    async def check_rights(self) -> None:
        """Make sure that the account may do all that the driver does.

        An address is put into a list that no rule asks for, renewed, and taken
        away. So it is known before the first opening how this router wants it,
        too. Raises MissingRightsError, and what connecting raises.
        """
        probe = Admission(self._rest, _PROBE, 4, self._learned)
        try:
            for _ in ("add", "renew"):
                await probe.grant(None, _PROBE_TIME, port="0")
        finally:
            await probe.clear()

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what the router holds now."""
        wan = await self._find_wan()
        table = await read_table(self._rest, wan, self._learned)
        resource = await self._rest.single("system/resource")
        return Snapshot(
            taken_at=self._clock(),
            external_address=await public_address(self._rest, wan),
            connected=wan.connected,
            uptime=duration_of(resource.get("uptime", "")),
            mappings=tuple(table.mappings()),
        )

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return one mapping for each protocol and family.

        Raises NotPermittedError for ports that are moved as a range: which of
        them leads where is up to the router then (the kernel takes any that is
        free).
        """
        mappings = tuple(planned(forward))
        if len(forward.external_ports) > 1 and forward.external_ports != forward.internal_ports:
            raise not_permitted(Refusal.SAME_PORT_ONLY, mappings[0])
        if forward.internal_host6 is not None and self._learned.get(IPV6) == "no":
            raise not_permitted(Refusal.NO_IPV6, mappings[-1])
        return mappings

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return what the tag of the comment says."""
        return owner_of(mapping)

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward` for `lease`, zero for no end, and return its mappings as read back."""
        plan = self.plan(forward)
        wan = self._found_wan or await self._find_wan()
        opening = Opening(
            self._rest, wan, forward=forward, lease=lease, ours=ours, learned=self._learned
        )
        return await opening.run(plan)

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping` where it is ours, switch it off where it is not, and make sure."""
        wan = self._found_wan or await self._find_wan()
        await remove(self._rest, wan, mapping)

    @override
    async def set_enabled(self, mapping: PortMapping, *, enabled: bool) -> PortMapping:
        """Switch the rule of `mapping.id` on or off by the one field `disabled`."""
        path = FILTER6 if mapping.is_pinhole else NAT
        port = str(mapping.external_ports)
        rule_id = rule_id_of(mapping)
        before = await self._rest.row(path, rule_id) if rule_id else None
        if before is None or not leads_like(before, mapping):
            raise RuleChangedError(port=port)
        if is_on(before.get("disabled")) is not enabled:
            return _made(before, mapping)
        if enabled and (len(read_row(before)) > 1 or "protocol" not in before):
            # It would open other ports besides, or be for any protocol: that is more than it shows.
            raise RuleChangedError(port=port)
        await self._rest.set(path, rule_id, {"disabled": "false" if enabled else "true"})
        after = await self._rest.row(path, rule_id)
        if after is None or _kept(after) != _kept(before):
            if enabled and after is not None and not leads_like(after, mapping):
                # Edited since we looked: what was switched on is another rule, which was off.
                await self._rest.set(path, rule_id, {"disabled": "true"})
            raise RuleChangedError(port=port)
        if is_on(after.get("disabled")) is enabled:
            raise NotMappedError(port=port) if enabled else NotClosedError(port=port)
        return _made(after, mapping)

    @override
    async def connections(self) -> tuple[Connection, ...]:
        """Return the connections of this moment; with more than some 5,000 the answer is too long.

        It raises ProtocolError then.
        """
        return await list_connections(self._rest)

    async def _find_wan(self) -> Wan:
        self._found_wan = await find_wan(self._rest, self._wanted_wan)
        return self._found_wan

    async def _board(self) -> Row:
        """Return what is known of the board; nothing on a router without one."""
        try:
            return await self._rest.single("system/routerboard")
        except RestError:
            return {}

    async def _license_id(self) -> str:
        """Return what names a router without a board: CHR, or on a PC."""
        row = await self._rest.single("system/license")
        found = row.get("system-id") or row.get("software-id")
        if not found:
            raise UnsupportedError(host=self._rest.host, detail="no serial number")
        return found


def _made(row: Row, mapping: PortMapping) -> PortMapping:
    """Return a mapping as a row makes it now."""
    return next(made for made in read_row(row) if made.same_rule(mapping))


def _kept(row: Row) -> Row:
    """Return what switching a rule must not change."""
    return {key: value for key, value in row.items() if key not in {"disabled", *_COUNTERS}}
