"""The driver: the contract of `Router`, kept over OpenWrt's ubus."""

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, override

import aiohttp

from ..clock import utc_now
from ..errors import MissingRightsError, ProtocolError, TooOldError, UnsupportedError
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
from ..queue import OperationLock
from ..router import Router
from ..transport import TIMEOUT
from .changes import PATIENCE, Configuration
from .connections import list_connections
from .opening import Opening, planned
from .removal import remove, switch
from .rights import Rights
from .router_state import RouterState, hits_of
from .sections import Section, is_forward, is_pinhole, owner_of, read_mapping
from .ubus import NEEDED, NoObjectError, Ubus

UNIQUE_ID: Final = "unique_id"
ZONE: Final = "zone"
HIT_COUNTERS: Final = "hit_counters"
CONNECTIONS: Final = "connections"
"""Keys of `learned`: who the router was when it was first met, the zone of its firewall that
the internet was behind (the settings may name it too), and `yes` if it counts, and shows its
connections."""

_FIRST_WITH_FW4 = (22, 3)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)


def from_settings(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> OpenWrtRouter:
    """Return the router at `url`, for `username` and `password`; `fingerprint` is that of `tls`."""
    return OpenWrtRouter(session, settings, learned=learned)


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What a first look tells.

    `lets_in_anybody`: the account may log in with any password, as rpcd does
    for a root that has none.
    """

    info: RouterInfo
    rights: Rights
    lets_in_anybody: bool


async def probe(session: aiohttp.ClientSession, settings: Mapping[str, str]) -> Probe:
    """Look at a router that is to be added.

    Raises AuthenticationFailedError, MissingRightsError (with what is lacking),
    TooOldError, UnsupportedError, CertificateError and what reaching it raises.
    """
    router = OpenWrtRouter(session, settings)
    info = await router.connect()
    return Probe(
        info=info,
        rights=router.rights,
        lets_in_anybody=await router.lets_in(secrets.token_hex(16)),
    )


class OpenWrtRouter(Router):
    """One router with OpenWrt 22.03 or later.

    Its rules outlive its restarts, and end by its own clock.
    """

    def __init__(  # noqa: PLR0913  all but two have a default
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        learned: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        """Take what `Ubus` takes; `timeout` is in seconds a request, `patience` of `changes`."""
        self._ubus = Ubus(session, settings, timeout=timeout)
        self._configuration = Configuration(self._ubus, patience=patience)
        self._state = RouterState(self._ubus, clock, patience=patience)
        self._learned = dict(learned or {})
        self._state.zone_name = settings.get(ZONE) or self._learned.get(ZONE, "")
        self._clock = clock
        # A look in the middle of a change would see what is not in force yet.
        self._lock = OperationLock()

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What OpenWrt can do, and whether this account may look at counters and connections."""
        return Capabilities(
            listing=Listing.FULL,
            leases=Leases.KEPT,
            allowed_source=True,
            other_hosts=True,
            port_ranges=True,
            both_protocols=True,
            ipv6=True,
            hit_counters=self._knows(HIT_COUNTERS),
            disabled_rules=True,
            connection_table=self._knows(CONNECTIONS),
        )

    def _knows(self, key: str) -> bool | None:
        return self._learned[key] == "yes" if key in self._learned else None

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        """Who the router is, and what of it this account may look at."""
        return dict(self._learned)

    @property
    def rights(self) -> Rights:
        """What the account may do, known after `connect`."""
        return self._ubus.rights

    async def lets_in(self, password: str) -> bool:
        """Tell whether the account may log in with this password."""
        async with self._lock:
            return await self._ubus.lets_in(password)

    @override
    async def connect(self) -> RouterInfo:
        """Log in, check the rights and the version, and find out who the router is."""
        async with self._lock:
            rights = await self._ubus.login()
            if rights.missing:
                detail = ", ".join(rights.missing)
                raise MissingRightsError(host=self._ubus.host, detail=detail)
            board = await self._ubus.read("system", "board")
            version = self._version(board.get("release"))
            await self._state.learn_zone()
            sections = await self._configuration.read()
            network = await self._state.network(sections)
            if network.zone is None or network.picked not in ("", network.zone):
                detail = f"its firewall has no zone {network.picked or 'of the internet'}"
                raise UnsupportedError(host=self._ubus.host, detail=detail)
            self._learned[ZONE] = self._state.zone_name = network.zone
            if UNIQUE_ID not in self._learned:
                self._learned[UNIQUE_ID] = await self._unique_id(network.lan_device)
            self._learned[HIT_COUNTERS] = "yes" if rights.rules else "no"
            self._learned[CONNECTIONS] = "yes" if rights.connections else "no"
        return RouterInfo(
            unique_id=self._learned[UNIQUE_ID],
            name=_text(board.get("hostname")) or "OpenWrt",
            manufacturer="OpenWrt",
            model=_text(board.get("model")),
            version=version,
            configuration_url=self._ubus.url,
        )

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what the router holds now, all of it: it lists every section.

        Only what is open to the internet is a port mapping: redirects from the
        home's own zones, such as those that catch all DNS, are none.
        """
        async with self._lock:
            sections = await self._configuration.read()
            network = await self._state.network(sections)
            clock = await self._state.clock()
            try:
                rules = await self._state.rules()
            except ProtocolError:
                rules = None  # Without them there are no counters, which is all.
        shown: list[PortMapping] = []
        for section in sections:
            if _opens(section, (*network.outside, network.zone)) and (
                row := read_mapping(section, clock)
            ):
                hits = hits_of(row, section, rules) if rules else None
                shown.append(replace(row, hits=hits))
        return Snapshot(
            taken_at=self._clock(),
            external_address=network.external_address,
            external_address6=network.external_address6,
            connected=network.connected,
            uptime=network.uptime,
            mappings=tuple(shown),
        )

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return one mapping for each section.

        Raises InvalidForwardError for a long range that is translated to another.
        """
        return planned(forward)

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return what the name of the section says."""
        return owner_of(mapping.id)

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward` for `lease`, zero for no end, and return its mappings as read back.

        The lease is a `stop_date`, which may come somewhat earlier, see
        `RouterClock.stop_date`. Raises ClockWrongError when it could not be
        relied on.
        """
        async with self._lock:
            # The time zone may have been changed since.
            await self._state.learn_zone()
            plan = planned or self.plan(forward)
            opening = Opening(self._configuration, self._state, forward, plan)
            return await opening.run(lease)

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Delete the section of `mapping`, unless it is another rule by now, and make sure."""
        async with self._lock:
            await remove(self._configuration, self._state, mapping)

    @override
    async def set_enabled(self, mapping: PortMapping, *, enabled: bool) -> PortMapping:
        """Switch a rule of the user on or off, keep all else of it, and return it as read back.

        Raises RuleChangedError when the rule is not there any more as `mapping`
        shows it, and PortConflictError when another one has its port.
        """
        async with self._lock:
            return await switch(self._configuration, self._state, mapping, enabled=enabled)

    @override
    async def connections(self) -> tuple[Connection, ...]:
        """Return the connections of this moment, a thousand at most."""
        # Not in the midst of a change: rpcd runs one command at a time for all.
        async with self._lock:
            return await list_connections(self._ubus)

    def _version(self, release: object) -> str | None:
        """Return the version, or raise TooOldError; a snapshot is new enough."""
        version = _text(release.get("version")) if isinstance(release, dict) else None
        numbers = _VERSION.match(version or "")
        if version and numbers and (int(numbers[1]), int(numbers[2])) < _FIRST_WITH_FW4:
            raise TooOldError(host=self._ubus.host, version=version, needed=NEEDED)
        return version

    async def _unique_id(self, device: str | None) -> str:
        """Return the hardware address of the home's network, or the router's address."""
        if device and self.rights.hardware_address:
            try:
                match (await self._ubus.read("luci-rpc", "getNetworkDevices")).get(device):
                    case {"mac": str(mac)}:
                        return mac.lower()
            except NoObjectError, ProtocolError:
                pass  # The plugin belongs to LuCI, and the address will do.
        return f"openwrt {self._ubus.host}"


def _opens(section: Section, outside: Sequence[str | None]) -> bool:
    """Tell whether a section lets something in from the internet."""
    return (is_forward(section) or is_pinhole(section)) and section.text("src") in outside


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
