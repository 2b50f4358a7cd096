"""The driver: the contract of `Router`, kept over the API of OPNsense 26.1 and later."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import override

import aiohttp

from ..clock import utc_now
from ..errors import (
    MissingRightsError,
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
from ..router import Router
from ..rule_texts import mapping_id, rule_id_of, source_of
from ..tag import description_of, owner_in
from ..transport import TIMEOUT
from .api import INTERFACES, RIGHTS, STATES, SYSTEM, Api
from .interfaces import Interface, read_interfaces
from .opening import Opening, is_tagged_like
from .rights import missing_rights, read_choices, try_to_write
from .rule import Rule
from .rulebook import APPLY_TIMEOUT, RuleBook
from .states import KEEPS_CONNECTIONS, end_connections
from .switching import switch

INTERFACE = "interface"
"""Key of the settings: the interface to the internet, `wan` unless it is told."""


def from_settings(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> OPNsenseRouter:
    """Return the firewall at `url`, for the user with `api_key` and `api_secret`."""
    return OPNsenseRouter(session, settings, learned=learned)


class OPNsenseRouter(Router):
    """One OPNsense and its interface to the internet.

    The firewall never closes a rule by itself, and rules outlive its restarts.
    """

    def __init__(  # noqa: PLR0913  all but two have a default
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        learned: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = TIMEOUT,
        apply_timeout: float = APPLY_TIMEOUT,
    ) -> None:
        """Take what `Api` takes, and `interface`; timeouts are in seconds a request."""
        self._api = Api(session, settings, timeout=timeout)
        self._book = RuleBook(self._api, apply_timeout=apply_timeout)
        self._interface = settings.get(INTERFACE) or "wan"
        self._learned = dict(learned or {})
        self._clock = clock
        # Rules of ours that this process has seen put into force.
        self._in_force: set[str] = set()
        self._may_read_interfaces = True
        self.interfaces: Mapping[str, str] = {}
        """The names of all interfaces by their identifier, known after `connect`."""
        self.missing_rights: tuple[str, ...] = ()
        """Privileges that the user lacks and that would be of use, known after `connect`."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What OPNsense can do."""
        return Capabilities(
            listing=Listing.FULL,
            leases=Leases.PERMANENT_ONLY,
            allowed_source=True,
            other_hosts=True,
            port_ranges=True,
            both_protocols=True,
            ipv6=True,
            disabled_rules=True,
        )

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        """Why connections outlive a close, where they do."""
        return self._learned

    @override
    async def connect(self) -> RouterInfo:
        """Check that the user may see the rules, and find out who the firewall is.

        Raises AuthenticationFailedError, MissingRightsError, TooOldError, and
        UnsupportedError when it has no such interface.
        """
        self.interfaces = await read_choices(self._api)
        if self._interface not in self.interfaces:
            detail = f"it has no interface {self._interface}"
            raise UnsupportedError(host=self._api.host, detail=detail)
        self.missing_rights = await missing_rights(self._api)
        self._learned.pop(KEEPS_CONNECTIONS, None)
        if RIGHTS[STATES] in self.missing_rights:
            self._learned[KEEPS_CONNECTIONS] = "missing_rights"
        self._may_read_interfaces = RIGHTS[INTERFACES] not in self.missing_rights
        lan = (i for i in await self._read_interfaces() if i.mac and not i.gateways)
        return RouterInfo(
            unique_id=next((i.mac for i in lan if i.mac), self._api.host),
            name="OPNsense",
            manufacturer="Deciso",
            model="OPNsense",
            version=await self._version(),
            configuration_url=self._api.url,
        )

    async def check_rights(self) -> None:
        """Raise MissingRightsError when the user may not write; for the set-up.

        A rule that is switched off is saved and deleted: nothing is open at any
        time.
        """
        await try_to_write(self._book, self._interface)

    async def _version(self) -> str | None:
        if RIGHTS[SYSTEM] in self.missing_rights:
            return None
        versions = (await self._api.read(SYSTEM)).get("versions")
        return str(versions[0]) if isinstance(versions, list) and versions else None

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what is saved for our interface, and in force as far as we know.

        Automatic rules are left out, and those of other interfaces: many
        redirect what comes from the home, which opens nothing.
        """
        own = next((i for i in await self._read_interfaces() if i.id == self._interface), None)
        rules = await self._book.rules()
        await self._settle(rules, ours)
        return Snapshot(
            taken_at=self._clock(),
            external_address=own.address if own else None,
            connected=own.up if own else None,
            uptime=None,
            mappings=tuple(
                mapping
                for rule in rules
                if rule.is_for(self._interface) and (mapping := rule.mapping)
            ),
            external_address6=own.address6 if own else None,
        )

    async def _settle(self, rules: Sequence[Rule], ours: Collection[PortMapping]) -> None:
        """Put our rules into force that may not be: what is shown as open has to be.

        When Home Assistant dies between saving a rule and applying it, the
        list shows it all the same. The ledger has no id for such a rule.
        """
        doubtful = {
            rule.uuid
            for rule in rules
            for mapping in ours
            if not rule_id_of(mapping) and self._is_ours(rule, mapping)
        }
        if doubtful - self._in_force:
            await self._book.apply()
            self._in_force |= doubtful

    async def _read_interfaces(self) -> tuple[Interface, ...]:
        """Return all interfaces, none where the user may not see them."""
        if not self._may_read_interfaces:
            return ()
        try:
            return await read_interfaces(self._api)
        except MissingRightsError:
            self._may_read_interfaces = False
            return ()

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return one mapping for each family of addresses, for all ports and protocols."""
        return tuple(
            PortMapping(
                protocols=forward.protocols,
                external_ports=forward.external_ports,
                internal_host=str(host),
                internal_ports=forward.internal_ports,
                allowed_source=source_of(forward.allowed_source),
                description=description_of(forward),
                id=mapping_id("", forward.owner),
            )
            for host in (forward.internal_host, forward.internal_host6)
            if host is not None
        )

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return what the tag of the description says, if there is a whole one."""
        return owner_in(mapping.description)

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward`; there are no leases, so `lease` is not asked for."""
        opening = Opening(self._book, self._interface, await self._address(), ours, self._in_force)
        granted = await opening.run(self.plan(forward))
        self._in_force |= {mapping.id for mapping in granted}
        return granted

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Delete the rule, put that into force, and end the connections that it let in.

        A rule of the user's that leads to the same place is switched off
        instead, if it is meant: by its id, or because the switch of the forward
        showed it as on.
        """
        rules = await self._book.rules()
        if not any(self._is_ours(rule, mapping) for rule in rules):
            meant = [rule.mapping for rule in rules if _is_meant(rule, mapping)]
            for other in filter(None, meant):
                await self.set_enabled(other, enabled=False)
            if meant:
                return
        await self._book.remove(
            str(mapping.external_ports), lambda rule: self._is_ours(rule, mapping)
        )
        await end_connections(self._api, mapping, await self._book.rules(), self._learned)

    @override
    async def set_enabled(self, mapping: PortMapping, *, enabled: bool) -> PortMapping:
        """Switch the rule that `mapping.id` names on or off and return it as read back.

        It may be anybody's: all its other fields stay as they are. Raises
        RuleChangedError when the id names another rule by now, or none,
        PortConflictError when another rule is in the way, and NotPermittedError
        when it would open more than `mapping` tells.
        """
        address = await self._address()
        shown = await switch(self._book, mapping, self._interface, address, enabled=enabled)
        if not enabled:
            await end_connections(self._api, mapping, await self._book.rules(), self._learned)
        return shown

    def _is_ours(self, rule: Rule, mapping: PortMapping) -> bool:
        """Tell whether `mapping` is this rule, or one of the user's to the same target."""
        found = rule.mapping
        return found is not None and found.same_rule(mapping) and is_tagged_like(rule, mapping)

    async def _address(self) -> IPv4Address | None:
        own = (i for i in await self._read_interfaces() if i.id == self._interface)
        return next((interface.address for interface in own), None)


def _is_meant(rule: Rule, mapping: PortMapping) -> bool:
    """Tell whether a rule of the user's is the one to close.

    Without an id, only a plan made for the user has a description: what the
    ledger holds may have met its end before the first look at the firewall.
    """
    found = rule.mapping
    if found is None or not found.enabled or not found.same_rule(mapping):
        return False
    if owner_in(rule.description):
        return False
    rule_id = rule_id_of(mapping)
    return rule.uuid == rule_id or not (rule_id or not mapping.description)
