"""The driver: that of UPnP, over TR-064 with a login.

AVM: "hosts can only add port mapping entries for themselves and not for other
hosts in the LAN" (wanipconnSCPD; fritzconnection#44), and only those that the
user has permitted to (fritzconnection#161, Q13).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import override

import aiohttp

from ..addresses import own_address
from ..clock import utc_now
from ..errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    Refusal,
    RouterUnreachableError,
    RuleChangedError,
    UnsupportedError,
)
from ..model import (
    Capabilities,
    Forward,
    Leases,
    PortMapping,
    PortRange,
    Protocol,
    RouterInfo,
    Snapshot,
)
from ..refusals import not_permitted
from ..transport import TIMEOUT
from ..upnp.description import Description, WanService, fetch
from ..upnp.driver import UpnpRouter
from ..upnp.refusal import NOT_AUTHORIZED
from ..upnp.soap import UpnpFault
from .lease import LeaseProof
from .transport import LoggedInTransport
from .wan import FritzWan, default_connection

_DESCRIPTION = "/tr64desc.xml"
_TRIAL_PORT = PortRange.single(65534)


def from_settings(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> FritzBoxRouter:
    """Return the box at `url`, such as `https://192.168.178.1:49443`."""
    return FritzBoxRouter(session, settings, learned=learned)


class FritzBoxRouter(UpnpRouter):
    """One FRITZ!Box, and the one of its WAN services that it uses."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        learned: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take `url`, `username`, `password` and `fingerprint`; `timeout` in seconds a request."""
        base = settings["url"].rstrip("/")
        super().__init__(
            session, f"{base}{_DESCRIPTION}", learned=learned, clock=clock, timeout=timeout
        )
        self._base = base
        self._transport = LoggedInTransport(session, settings, timeout=timeout)
        self._proof = LeaseProof(self._learned)

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What a FRITZ!Box can do, over TR-064 for IPv4 only."""
        known = super().capabilities
        return replace(
            known,
            leases=Leases.UNPROVEN if known.leases is Leases.UNKNOWN else known.leases,
            allowed_source=False,
            other_hosts=False,
            ipv6=False,
            disabled_rules=True,
        )

    @override
    async def connect(self) -> RouterInfo:
        """Check the login and the rights, and find out who the box is and which WAN it uses.

        Raises AuthenticationFailedError, MissingRightsError, and
        UnsupportedError where applications are not allowed access.
        """
        description = await fetch(self._transport, self._url)
        wan = await self._attach(description)
        await wan.check_rights()
        return description.info

    @override
    async def _attach(self, description: Description) -> FritzWan:
        service = (await super()._attach(description)).service
        self._connection = wan = FritzWan(self._transport, service, self._locate)
        return wan

    @override
    async def _pick(self, description: Description) -> WanService:
        kind = await default_connection(self._transport, self._base)
        for service in description.wans:
            if kind and f":{kind}:" in service.service_type:
                return service
        host = self._transport.host_of(self._url)
        raise UnsupportedError(host=host, detail=f"no WAN connection service {kind}".strip())

    async def _fritz_wan(self) -> FritzWan:
        wan = await self._wan()
        assert isinstance(wan, FritzWan)  # noqa: S101  see _attach
        return wan

    async def check_rights(self) -> None:
        """Find out whether the box lets this machine share ports, by a row that is switched off.

        Raises NotPermittedError with the reason, SecondFactorError, and what
        reading raises. Nothing is open at any time.
        """
        wan = await self._fritz_wan()
        if (own := await own_address(wan.host)) is None:
            raise RouterUnreachableError(host=wan.host)
        trial = PortMapping(
            protocols=(Protocol.UDP,),
            external_ports=_TRIAL_PORT,
            internal_host=str(own),
            internal_ports=_TRIAL_PORT,
            enabled=False,
            description="Home Assistant asks for permission",
        )
        if await wan.specific(trial) is not None:
            # Somebody uses the very port. It was permitted then.
            return
        try:
            await wan.put(trial)
        except UpnpFault as fault:
            raise await self._explain(fault, trial) from fault
        await wan.delete(trial)

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what the box holds now, and learn from it about leases."""
        snapshot = await super().snapshot(ours)
        self._proof.look(snapshot.mappings, snapshot.taken_at)
        return replace(snapshot, mappings=self._proof.believed(snapshot.mappings))

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return one mapping for each protocol and pair of ports.

        Raises NotPermittedError for IPv6 and for an allowed source: there is
        no field for one that the box would heed.
        """
        if forward.internal_host6:
            six = PortMapping(
                protocols=forward.protocols,
                external_ports=forward.external_ports,
                internal_host=str(forward.internal_host6),
                internal_ports=forward.internal_ports,
            )
            raise not_permitted(Refusal.NO_IPV6, six)
        mappings = super().plan(replace(forward, allowed_source=None))
        if forward.allowed_source and forward.allowed_source.prefixlen:
            raise not_permitted(Refusal.ANY_SOURCE_ONLY, mappings[0])
        return mappings

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward`, which has to lead to this machine."""
        try:
            granted = await super().open(forward, lease, planned=planned, ours=ours)
        except NotPermittedError as error:
            if isinstance(fault := error.__cause__, UpnpFault):
                (first, *_) = self.plan(forward)
                explained = await self._explain(fault, first, error)
                explained.left = error.left
                raise explained from fault
            raise
        finally:
            self._proof.correct()
        self._proof.note(granted, self._clock())
        return self._proof.believed(granted)

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping`, unless something else stands in its place, and make sure."""
        try:
            await super().close(mapping)
        except NotPermittedError as error:
            if isinstance(fault := error.__cause__, UpnpFault):
                raise await self._explain(fault, mapping, error) from fault
            raise

    @override
    async def set_enabled(self, mapping: PortMapping, *, enabled: bool) -> PortMapping:
        """Switch a row on or off, all else left as it is, and return it as read back.

        It has to lead to this machine. Raises RuleChangedError when it is gone
        or leads elsewhere by now.
        """
        wan = await self._fritz_wan()
        port = str(mapping.external_ports)
        row = await wan.specific(mapping)
        if row is None or row.target != mapping.target:
            raise RuleChangedError(port=port)
        if row.enabled is not enabled:
            try:
                await wan.put(replace(row, enabled=enabled))
            except UpnpFault as fault:
                raise await self._explain(fault, mapping) from fault
            row = await wan.specific(mapping)
        if row is None or row.target != mapping.target:
            raise RuleChangedError(port=port)
        if row.enabled is not enabled:
            raise NotMappedError(port=port) if enabled else NotClosedError(port=port)
        (shown,) = self._proof.believed([replace(row, id=mapping.id)])
        return shown

    async def _explain(
        self, fault: UpnpFault, mapping: PortMapping, error: NotPermittedError | None = None
    ) -> NotPermittedError:
        """Return what a fault of the box means; `error` is what it would mean of any router."""
        detail = fault.placeholders["detail"]
        if fault.code != NOT_AUTHORIZED:
            return error or not_permitted(Refusal.REFUSED, mapping, detail)
        # Behind the NAT of a container our own address is not the one that the
        # box sees, so this is asked only after it has refused.
        own = await own_address(self._transport.host_of(self._url))
        elsewhere = own is not None and str(own) != mapping.internal_host
        reason = Refusal.FRITZBOX_OWN_HOST if elsewhere else Refusal.FRITZBOX_NOT_TICKED
        return not_permitted(reason, mapping, detail)
