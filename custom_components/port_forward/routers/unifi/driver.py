"""The driver: the contract of `Router`, kept over the API of the UniFi Network application."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import AddressValueError, IPv4Address
from typing import override

import aiohttp

from ..clock import utc_now
from ..errors import (
    MissingRightsError,
    NotClosedError,
    NotMappedError,
    ProtocolError,
    Refusal,
    RuleChangedError,
    UnsupportedError,
)
from ..model import (
    Capabilities,
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
from ..tag import owner_in
from ..transport import TIMEOUT
from ..versions import check_version
from .api import RIGHT, Api, ApiError, Document
from .forwards import id_of, is_on, leads_like, planned, read
from .opening import Opening
from .removal import remove
from .sites import UnifiSite, UnifiWan, read_sites, read_wans

NEEDED = (9, 0)
"""The oldest version whose fields were checked; API keys came with 9.0.114."""

RIGHTS = "rights"
"""Key of `learned`: `yes` once a change was found to be allowed."""

_NO_FORWARD = "0" * 24


def from_settings(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> UnifiRouter:
    """Return the site `site` (default: "default") of the controller at `url`.

    With `api_key`, or with `username` and `password` of a local account. `wan`
    is that of `UnifiWan` (default: "wan"), `fingerprint` that of `tls.ssl_of`.
    The session should keep no cookies: those of two accounts would get mixed.
    """
    return UnifiRouter(session, settings, learned=learned)


class UnifiRouter(Router):
    """One WAN of one site."""

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
        self._learned = dict(learned or {})
        self._api = Api(session, settings, learned=self._learned, clock=clock, timeout=timeout)
        self._url = settings["url"].rstrip("/")
        self._wan = settings.get("wan") or "wan"
        self._clock = clock

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What a UniFi gateway can do: it keeps forwards until they are deleted."""
        return Capabilities(
            listing=Listing.FULL,
            leases=Leases.PERMANENT_ONLY,
            allowed_source=True,
            other_hosts=True,
            port_ranges=True,
            both_protocols=True,
            hit_counters=True,
            disabled_rules=True,
        )

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        """What was found out about the router and is worth knowing at the next start."""
        return dict(self._learned)

    @override
    async def connect(self) -> RouterInfo:
        """Find out who the controller is, and what the account may do.

        Raises AuthenticationFailedError, LockedOutError, SecondFactorError,
        MissingRightsError, TooOldError, UnsupportedError.
        """
        await self._api.detect()
        site = await self._site()
        system = next(iter(await self._api.read("stat/sysinfo")), {})
        version = str(system.get("version") or "")
        check_version(version, NEEDED, product="UniFi Network", host=self._api.host)
        if RIGHTS not in self._learned:
            await self.check_rights()
        return RouterInfo(
            unique_id=site.id if self._wan == "wan" else f"{site.id}-{self._wan}",
            name=str(system.get("name") or site.title),
            manufacturer="Ubiquiti",
            model="UniFi Network",
            version=version,
            configuration_url=self._url,
        )

    async def check_rights(self) -> None:
        """Make sure that the account may change forwards, by changing one that does not exist.

        Raises MissingRightsError, and what connecting raises.
        """
        try:
            await self._api.replace(_NO_FORWARD, {})
        except ApiError as error:
            if not (error.is_absent or error.is_invalid):
                raise
        self._learned[RIGHTS] = "yes"

    async def sites(self) -> Sequence[UnifiSite]:
        """Return the sites that the account may see, for the user to choose."""
        return await read_sites(self._api)

    async def wans(self) -> Sequence[UnifiWan]:
        """Return the WANs of the site, for the user to choose."""
        return await read_wans(self._api)

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what the controller holds now.

        No uptime is told: a restart loses no forward here, so that one which
        is gone was removed by somebody.
        """
        documents = await self._api.forwards()
        hits = {
            id_of(row): packets
            for row in await self._told("stat/portforward")
            if isinstance(packets := row.get("rx_packets"), int)
        }
        health = await self._wan_health()
        status = health.get("status")
        return Snapshot(
            taken_at=self._clock(),
            external_address=_ipv4(health.get("wan_ip")),
            connected=None if status is None else status == "ok",
            uptime=None,
            mappings=tuple(
                mapping
                for row in documents
                if is_on(row, self._wan) or owner_in(str(row.get("name")))
                for mapping in read(row, hits)
            ),
        )

    async def _wan_health(self) -> Document:
        """Return what is told of the WAN; only of the first one it tells the address."""
        if self._wan != "wan":
            return {}
        rows = await self._told("stat/health")
        return next((row for row in rows if row.get("subsystem") == "wan"), {})

    async def _told(self, path: str) -> Sequence[Document]:
        """Return what is good to know; nothing where it cannot be had."""
        try:
            return await self._api.read(path)
        except ProtocolError, UnsupportedError:
            return ()

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return the one mapping of a forward.

        Raises NotPermittedError for IPv6, which goes by firewall policies
        here, and for ports that are moved as a range: nobody has seen which of
        them leads where then.
        """
        mapping = planned(forward)
        if forward.internal_host6 is not None:
            pinhole = replace(mapping, internal_host=str(forward.internal_host6))
            raise not_permitted(Refusal.NO_IPV6, pinhole)
        if len(forward.external_ports) > 1 and forward.external_ports != forward.internal_ports:
            raise not_permitted(Refusal.SAME_PORT_ONLY, mapping)
        return (mapping,)

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return what the tag of the name says."""
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
        """Open `forward` and return its mapping as read back.

        It has no lease, whatever is asked for. The gateway follows the
        controller after some seconds.
        """
        (wanted,) = self.plan(forward)
        return (await Opening(self._api, self._wan, wanted, ours).run(),)

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping` where it is ours, switch it off where it is not, and make sure."""
        await remove(self._api, self._wan, mapping)

    @override
    async def set_enabled(self, mapping: PortMapping, *, enabled: bool) -> PortMapping:
        """Switch the forward of `mapping.id` on or off, and keep all its other fields."""
        port = str(mapping.external_ports)
        before = await self._document(mapping)
        if before is None or not leads_like(before, mapping):
            raise RuleChangedError(port=port)
        if (before.get("enabled") is not False) is enabled:
            return _made(before, mapping)
        if enabled and len(list(read(before))) > 1:
            # It would open other ports besides.
            raise RuleChangedError(port=port)
        await self._api.replace(id_of(before), {**before, "enabled": enabled})
        after = await self._document(mapping)
        if after is None or {**after, "enabled": None} != {**before, "enabled": None}:
            raise RuleChangedError(port=port)
        if (after.get("enabled") is not False) is not enabled:
            raise NotMappedError(port=port) if enabled else NotClosedError(port=port)
        return _made(after, mapping)

    async def _document(self, mapping: PortMapping) -> Document | None:
        rows = await self._api.forwards()
        return next((row for row in rows if id_of(row) == rule_id_of(mapping)), None)

    async def _site(self) -> UnifiSite:
        sites = {site.name: site for site in await self.sites()}
        site = sites.get(self._api.site)
        if site is None:
            raise UnsupportedError(host=self._api.host, detail="the site is gone")
        if site.role == "readonly":
            raise MissingRightsError(host=self._api.host, detail=RIGHT)
        return site


def _made(document: Document, mapping: PortMapping) -> PortMapping:
    """Return a mapping as a document makes it now."""
    return next(made for made in read(document) if made.same_rule(mapping))


def _ipv4(text: object) -> IPv4Address | None:
    try:
        return IPv4Address(text) if isinstance(text, str) else None
    except AddressValueError:
        return None
