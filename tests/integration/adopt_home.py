"""Homes whose routers have a rule that the user has made, to be taken over."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN, SUBENTRY_TYPE_FORWARD
from lab.fritzbox import FritzBox
from lab.fritzbox.sharing import Sharing
from lab.mikrotik import MikrotikRouter
from lab.openwrt import PASSWORD, USERNAME, OpenWrt
from lab.opnsense import OPNsense
from lab.opnsense.rule import flatten
from lab.unifi import UnifiController
from lab.virtual_router import free_port

from .conftest import set_up, state_of, stop_home_assistant, switch
from .flows import nested

HERE: Final = "127.0.0.1"
ELSEWHERE: Final = "127.0.0.2"


class UsersRouter(ABC):
    """A simulated router with one rule of the user's, NAS, that leads from `port` to port 8080."""

    driver: str
    settings: Mapping[str, str]

    def __init__(self) -> None:
        """Choose the port; there is no rule yet."""
        self.port = free_port()

    @property
    @abstractmethod
    def rule(self) -> Mapping[str, object] | None:
        """All that the router holds of the rule but whether it is on; None when it is gone."""

    @property
    @abstractmethod
    def is_on(self) -> bool:
        """Whether the rule is enabled."""

    @abstractmethod
    async def add(self, *, enabled: bool) -> None:
        """Let the user make the rule, with more fields than we know of."""

    @abstractmethod
    async def by_hand(self, *, enabled: bool) -> None:
        """Let the user switch it."""

    @abstractmethod
    async def lead_elsewhere(self) -> None:
        """Let the user edit its target: the id names another rule now."""

    @abstractmethod
    async def delete(self) -> None:
        """Let the user delete it."""


class OnOpnsense(UsersRouter):
    driver = "opnsense"

    def __init__(self, firewall: OPNsense) -> None:
        super().__init__()
        self.firewall = firewall
        self.settings = firewall.settings
        self.uuid = ""

    @property
    @override
    def rule(self) -> Mapping[str, object] | None:
        if self.uuid not in self.firewall.table:
            return None
        return {k: v for k, v in self.firewall.table[self.uuid].items() if k != "disabled"}

    @property
    @override
    def is_on(self) -> bool:
        return self.firewall.table[self.uuid]["disabled"] == "0"

    @property
    def is_in_force(self) -> bool:
        """Whether packets are let in."""
        return any(
            rule["destination.port"] == str(self.port) and rule["disabled"] == "0"
            for rule in self.firewall.pf.rules
        )

    @override
    async def add(self, *, enabled: bool) -> None:
        self.uuid = await self.add_rule(disabled="0" if enabled else "1")

    async def add_rule(self, **fields: Any) -> str:
        """Let the user make a rule, which is in force at once; return its id."""
        rule: dict[str, Any] = {
            "interface": "wan",
            "ipprotocol": "inet",
            "protocol": "tcp",
            "source": {"network": ""},
            "destination": {"network": "wanip", "port": str(self.port)},
            "target": HERE,
            "local-port": "8080",
            "descr": "NAS",
            "log": "1",
            "natreflection": "purenat",
            "pass": "pass",
        }
        reply = self.firewall.table.add(rule | fields, "root")
        await self.apply()
        return str(reply["uuid"])

    @override
    async def by_hand(self, *, enabled: bool) -> None:
        self.firewall.table.toggle(self.uuid, "0" if enabled else "1")
        await self.apply()

    @override
    async def lead_elsewhere(self) -> None:
        self.firewall.table[self.uuid].update(flatten({"target": ELSEWHERE}))
        await self.apply()

    @override
    async def delete(self) -> None:
        self.firewall.table.delete(self.uuid)
        await self.apply()

    async def apply(self) -> None:
        """Put what is saved into force."""
        await self.firewall.pf.load(self.firewall.table.in_order())


class OnOpenWrt(UsersRouter):
    driver = "openwrt"

    def __init__(self, router: OpenWrt) -> None:
        super().__init__()
        self.router = router
        self.settings = {"url": router.url, "username": USERNAME, "password": PASSWORD}

    @property
    @override
    def rule(self) -> Mapping[str, object] | None:
        section = self.router.section("nas")
        if section is None:
            return None
        return {k: v for k, v in section.options.items() if k != "enabled"}

    @property
    @override
    def is_on(self) -> bool:
        section = self.router.section("nas")
        assert section
        return section.options["enabled"] == "1"

    @override
    async def add(self, *, enabled: bool) -> None:
        await self.router.luci_edit(
            nas={
                "name": "NAS",
                "src": "wan",
                "dest": "lan",
                "target": "DNAT",
                "proto": ["tcp"],
                "src_dport": str(self.port),
                "dest_ip": HERE,
                "dest_port": "8080",
                "reflection": "1",
                "extra": "x",
                "enabled": "1" if enabled else "0",
            }
        )

    async def _set(self, **values: str) -> None:
        user = self.router.luci()
        await user.call("set", section="nas", values=values)
        await user.apply()

    @override
    async def by_hand(self, *, enabled: bool) -> None:
        await self._set(enabled="1" if enabled else "0")

    @override
    async def lead_elsewhere(self) -> None:
        await self._set(dest_ip=ELSEWHERE)

    @override
    async def delete(self) -> None:
        await self.router.luci_edit(nas=None)


class OnMikrotik(UsersRouter):
    driver = "mikrotik"
    path = "ip/firewall/nat"
    counted = ("packets", "bytes")

    def __init__(self, router: MikrotikRouter) -> None:
        super().__init__()
        self.router = router
        user = router.users[0]
        self.settings = {"url": router.url, "username": user.name, "password": user.password}
        self.id = ""

    @property
    def _row(self) -> Mapping[str, str] | None:
        return next((row for row in self.router.items() if row[".id"] == self.id), None)

    @property
    @override
    def rule(self) -> Mapping[str, object] | None:
        row = self._row
        return row and {k: v for k, v in row.items() if k not in ("disabled", *self.counted)}

    @property
    @override
    def is_on(self) -> bool:
        row = self._row
        assert row
        return row["disabled"] == "false"

    @override
    async def add(self, *, enabled: bool) -> None:
        self.id = await self.router.add(
            self.path,
            chain="dstnat",
            action="dst-nat",
            protocol="tcp",
            in_interface_list="WAN",
            dst_port=str(self.port),
            to_addresses=HERE,
            to_ports="8080",
            log="true",
            comment="NAS",
            disabled="false" if enabled else "true",
        )

    @override
    async def by_hand(self, *, enabled: bool) -> None:
        await self.router.change(self.path, self.id, disabled="false" if enabled else "true")

    @override
    async def lead_elsewhere(self) -> None:
        await self.router.change(self.path, self.id, to_addresses=ELSEWHERE)

    @override
    async def delete(self) -> None:
        await self.router.remove(self.path, self.id)


class OnUnifi(UsersRouter):
    driver = "unifi"

    def __init__(self, controller: UnifiController) -> None:
        super().__init__()
        self.controller = controller
        self.settings = {"url": controller.url, "api_key": controller.door.keys[0].value}
        self.id = ""

    @property
    def _row(self) -> Mapping[str, object] | None:
        return next((row for row in self.controller.forwards if row["_id"] == self.id), None)

    @property
    @override
    def rule(self) -> Mapping[str, object] | None:
        row = self._row
        return row and {k: v for k, v in row.items() if k != "enabled"}

    @property
    @override
    def is_on(self) -> bool:
        row = self._row
        assert row
        return row["enabled"] is True

    @override
    async def add(self, *, enabled: bool) -> None:
        self.id = await self.controller.add(
            name="NAS",
            enabled=enabled,
            pfwd_interface="wan",
            fwd=HERE,
            fwd_port="8080",
            dst_port=str(self.port),
            proto="tcp",
            src="any",
            log=True,
            unheard_of={"since": "10.0"},
        )

    @override
    async def by_hand(self, *, enabled: bool) -> None:
        await self.controller.change(self.id, enabled=enabled)

    @override
    async def lead_elsewhere(self) -> None:
        await self.controller.change(self.id, fwd=ELSEWHERE)

    @override
    async def delete(self) -> None:
        await self.controller.remove(self.id)


class OnFritzBox(UsersRouter):
    driver = "fritzbox"

    def __init__(self, box: FritzBox) -> None:
        super().__init__()
        self.box = box
        self.settings = box.settings

    @property
    @override
    def rule(self) -> Mapping[str, object] | None:
        rows = [row for row in self.box.sharing.rows if row.external_port == self.port]
        return {"host": rows[0].host, "name": rows[0].description} if rows else None

    @property
    @override
    def is_on(self) -> bool:
        return any(row.external_port == self.port and row.enabled for row in self.box.sharing.rows)

    async def _put(self, host: str, *, enabled: bool) -> None:
        await self.box.sharing.put(
            Sharing(
                protocol="TCP",
                external_port=self.port,
                host=host,
                internal_port=8080,
                description="NAS",
                enabled=enabled,
            )
        )

    @override
    async def add(self, *, enabled: bool) -> None:
        await self._put(HERE, enabled=enabled)

    @override
    async def by_hand(self, *, enabled: bool) -> None:
        await self._put(HERE, enabled=enabled)

    @override
    async def lead_elsewhere(self) -> None:
        await self._put(ELSEWHERE, enabled=self.is_on)

    @override
    async def delete(self) -> None:
        await self.box.sharing.remove(("TCP", self.port))


@asynccontextmanager
async def users_router(kind: str) -> AsyncIterator[UsersRouter]:
    """Start a router of this kind."""
    match kind:
        case "opnsense":
            async with OPNsense() as firewall:
                yield OnOpnsense(firewall)
        case "openwrt":
            async with OpenWrt() as openwrt:
                yield OnOpenWrt(openwrt)
        case "mikrotik":
            async with MikrotikRouter() as mikrotik:
                yield OnMikrotik(mikrotik)
        case "unifi":
            async with UnifiController() as unifi:
                yield OnUnifi(unifi)
        case "fritzbox":
            async with FritzBox() as box:
                yield OnFritzBox(box)
        case _:
            raise AssertionError(kind)


@dataclass(frozen=True, kw_only=True)
class Home[R: UsersRouter]:
    """Home Assistant, set up with a router that has the user's rule."""

    hass: HomeAssistant
    entry: MockConfigEntry
    router: R

    async def begin(self) -> SubentryFlowResult:
        """Click "Add port forward"."""
        return await self.hass.config_entries.subentries.async_init(
            (self.entry.entry_id, SUBENTRY_TYPE_FORWARD), context={"source": SOURCE_USER}
        )

    async def edit(self) -> SubentryFlowResult:
        """Click "Edit port forward" of the only one."""
        [subentry_id] = self.entry.subentries
        return await self.hass.config_entries.subentries.async_init(
            (self.entry.entry_id, SUBENTRY_TYPE_FORWARD),
            context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry_id},
        )

    async def submit(self, step: SubentryFlowResult, **values: Any) -> SubentryFlowResult:
        """Submit a form, or choose from the menu."""
        result = await self.hass.config_entries.subentries.async_configure(
            step["flow_id"], nested(step, values)
        )
        await self.hass.async_block_till_done()
        return result

    async def rules(self) -> SubentryFlowResult:
        """Go on to the list of the rules that can be taken over."""
        step = await self.begin()
        assert (step["type"], step["step_id"]) == (FlowResultType.MENU, "choose")
        return await self.submit(step, next_step_id="adopt")

    async def adopt(self, **values: Any) -> None:
        """Take the rule over as the forward *Camera*, open until closed."""
        step = await self.rules()
        [rule] = labels(step)
        step = await self.submit(step, rule=rule)
        typed = {"name": "Camera", "close_after": {"hours": 1}, "until_closed": True} | values
        step = await self.submit(step, **typed)
        assert step["type"] is FlowResultType.CREATE_ENTRY

    async def on(self) -> None:
        """Turn the switch on."""
        await switch(self.hass, "turn_on")

    async def off(self) -> None:
        """Turn the switch off."""
        await switch(self.hass, "turn_off")

    async def lock(self) -> None:
        """Turn lockdown on."""
        [lockdown] = [
            entity.entity_id
            for entity in er.async_entries_for_config_entry(
                er.async_get(self.hass), self.entry.entry_id
            )
            if entity.translation_key == "lockdown"
        ]
        await switch(self.hass, "turn_on", lockdown)

    @property
    def state(self) -> str:
        """What the switch shows."""
        return state_of(self.hass)

    @property
    def told(self) -> tuple[str | None, str | None]:
        """The kind and the reason of what happened last."""
        state = self.hass.states.get("event.camera_activity")
        assert state
        return state.attributes["event_type"], state.attributes.get("reason")

    async def restart(self) -> None:
        """Restart Home Assistant, as far as the integration can tell."""
        await stop_home_assistant(self.hass, self.entry)
        await set_up(self.hass, self.entry)


def labels(step: SubentryFlowResult) -> dict[str, str]:
    """Return the rules that a form lists, with what they are called there."""
    assert (step["type"], step["step_id"]) == (FlowResultType.FORM, "adopt")
    assert step["data_schema"]
    options = step["data_schema"].schema["rule"].config["options"]
    return {option["value"]: option["label"] for option in options}


@asynccontextmanager
async def opnsense_home(hass: HomeAssistant) -> AsyncIterator[Home[OnOpnsense]]:
    """Run a home with an OPNsense, whose rule is off and leads to port 80."""
    async with users_router("opnsense") as router:
        assert isinstance(router, OnOpnsense)
        yield await home_of(hass, router)
        for entry in hass.config_entries.async_entries(DOMAIN):
            await stop_home_assistant(hass, entry)


async def home_of[R: UsersRouter](
    hass: HomeAssistant, router: R, *, enabled: bool = False
) -> Home[R]:
    """Return a home with this router, whose rule nobody has taken over yet."""
    await router.add(enabled=enabled)
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Router",
        unique_id=router.driver,
        data={"driver": router.driver, **router.settings},
    )
    entry.add_to_hass(hass)
    await set_up(hass, entry)
    return Home(hass=hass, entry=entry, router=router)
