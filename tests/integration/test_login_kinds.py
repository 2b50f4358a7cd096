"""Adding routers with an API of their own: what only one kind of them has."""

from typing import override

import pytest
from homeassistant.config_entries import ConfigFlowResult
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.fritzbox import PASSWORD as FRITZ_PASSWORD
from lab.fritzbox import USER as FRITZ_USER
from lab.fritzbox import FritzBox
from lab.mikrotik import Habit, MikrotikRouter, User
from lab.openwrt import PASSWORD, USERNAME, OpenWrt
from lab.opnsense import Account as OPNsenseAccount
from lab.opnsense import Fault as OPNsenseFault
from lab.opnsense import OPNsense
from lab.unifi import Account, ApiKey, UnifiController

from .conftest import add_forward, forward_data, set_up, state_of, switch
from .flows import added, assert_abort, assert_form, default, options, start, submit

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")


async def log_in(hass: HomeAssistant, driver: str, form: dict[str, str]) -> ConfigFlowResult:
    """Fill in the form of a kind of router, and accept that it speaks no TLS."""
    step = await submit(hass, await start(hass), url=driver)
    step = await submit(hass, step, **form)
    assert_form(step, "unencrypted")
    return await submit(hass, step)


def placeholders(step: ConfigFlowResult) -> dict[str, str]:
    return dict(step["description_placeholders"] or {})


class TestOpenWrt:
    async def test_account_that_lets_in_anybody(
        self, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with OpenWrt() as router:
            form = {"url": router.url, "username": USERNAME, "password": PASSWORD}
            # As rpcd does for a root without a password.
            monkeypatch.setattr(router.sessions.account(USERNAME), "password", Anything())
            step = await log_in(hass, "openwrt", form)
            assert_form(step, "openwrt", {"base": "no_password"})
            router.set_password(PASSWORD)
            step = await submit(hass, step, **form)
            added(hass, await submit(hass, step))

    async def test_no_ubus(self, hass: HomeAssistant) -> None:
        async with OpenWrt(has_ubus=False) as router:
            form = {"url": router.url, "username": USERNAME, "password": PASSWORD}
            step = await log_in(hass, "openwrt", form)
            assert_form(step, "openwrt", {"base": "unsupported"})


class Anything(str):
    """A password that every other one equals."""

    __slots__ = ()

    @override
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class TestMikrotik:
    @staticmethod
    def form(router: MikrotikRouter, **changes: str) -> dict[str, str]:
        user = router.users[0]
        return {"url": router.url, "username": user.name, "password": user.password} | changes

    @pytest.mark.parametrize(
        ("version", "error"), [("7.8 (stable)", "too_old"), ("6.49.10 (stable)", "unsupported")]
    )
    async def test_too_old(self, hass: HomeAssistant, version: str, error: str) -> None:
        async with MikrotikRouter(users=[User()], version=version) as router:
            step = await log_in(hass, "mikrotik", self.form(router))
            assert_form(step, "mikrotik", {"base": error})

    async def test_interface_of_the_internet(self, hass: HomeAssistant) -> None:
        async with MikrotikRouter(users=[User()], wan_list=False) as router:
            step = await log_in(hass, "mikrotik", self.form(router, wan="ether1"))
            assert added(hass, step).data["wan"] == "ether1"

    async def test_another_interface_closes_what_is_open(
        self, hass: HomeAssistant, external_port: int
    ) -> None:
        async with MikrotikRouter(users=[User()]) as router:
            made = added(hass, await log_in(hass, "mikrotik", self.form(router)))
            entry = MockConfigEntry(
                domain=DOMAIN, unique_id=made.unique_id, data=dict(made.data), title="MikroTik"
            )
            await hass.config_entries.async_remove(made.entry_id)
            entry.add_to_hass(hass)
            add_forward(hass, entry, forward_data(external_port))
            await set_up(hass, entry)
            await switch(hass, "turn_on")
            assert state_of(hass) == "on"
            step = await entry.start_reconfigure_flow(hass)
            step = await submit(hass, step, **self.form(router, wan="ether1"))
            assert_abort(await submit(hass, step), "reconfigure_successful")
            assert entry.data["wan"] == "ether1"
            assert state_of(hass) == "off"

    async def test_error_that_the_form_has_no_text_for(self, hass: HomeAssistant) -> None:
        """Then it shows that of actions."""
        habits = {Habit.WHOLE_MANGLED, Habit.DELETE_IGNORED}
        async with MikrotikRouter(users=[User()], habits=habits) as router:
            step = await log_in(hass, "mikrotik", self.form(router))
            assert_form(step, "mikrotik", {"base": "refused"})
            assert placeholders(step)["error"].startswith("The router agreed to open")


class TestOPNsense:
    @staticmethod
    def form(firewall: OPNsense, **changes: str) -> dict[str, str]:
        account = firewall.accounts[0]
        values = {"url": firewall.url, "api_key": account.key, "api_secret": account.secret}
        return values | changes

    async def test_too_old(self, hass: HomeAssistant) -> None:
        async with OPNsense(version="25.7.11", tls=False) as firewall:
            step = await log_in(hass, "opnsense", self.form(firewall))
            assert_form(step, "opnsense", {"base": "too_old"})
            assert placeholders(step)["needed"] == "OPNsense 26.1"

    async def test_may_not_save(self, hass: HomeAssistant) -> None:
        account = OPNsenseAccount(read_only=True)
        async with OPNsense(accounts=[account], tls=False) as firewall:
            step = await log_in(hass, "opnsense", self.form(firewall))
            assert_form(step, "opnsense", {"base": "missing_rights"})

    async def test_interface_that_is_not_there(self, hass: HomeAssistant) -> None:
        async with OPNsense(tls=False) as firewall:
            step = await log_in(hass, "opnsense", self.form(firewall, interface="opt77"))
            assert_form(step, "opnsense", {"base": "unsupported"})

    async def test_web_page_in_place_of_an_answer(self, hass: HomeAssistant) -> None:
        async with OPNsense(tls=False) as firewall:
            firewall.fault(OPNsenseFault.HTML, times=None)
            step = await log_in(hass, "opnsense", self.form(firewall))
            assert_form(step, "opnsense", {"base": "protocol_error"})


class TestUnifi:
    KEY = ApiKey().value

    async def test_password_of_a_local_account(self, hass: HomeAssistant) -> None:
        async with UnifiController(accounts=[Account()]) as controller:
            form = {
                "url": controller.url,
                "username": Account().name,
                "password": Account().password,
            }
            entry = added(hass, await log_in(hass, "unifi", form))
            assert entry.data["username"] == Account().name
            assert (entry.data["site"], entry.data["wan"]) == ("default", "wan")

    @pytest.mark.parametrize(
        "form", [{}, {"username": "ha"}, {"password": "x"}, {"username": "", "password": "x"}]
    )
    async def test_nothing_to_log_in_with(self, hass: HomeAssistant, form: dict[str, str]) -> None:
        step = await submit(hass, await start(hass), url="unifi")
        step = await submit(hass, step, url="https://127.0.0.1:1", **form)
        assert_form(step, "unifi", {"base": "no_credentials"})

    async def test_second_factor(self, hass: HomeAssistant) -> None:
        account = Account(needs_code=True)
        async with UnifiController(accounts=[account]) as controller:
            form = {
                "url": controller.url,
                "username": account.name,
                "password": account.password,
            }
            step = await log_in(hass, "unifi", form)
            assert_form(step, "unifi", {"base": "second_factor"})

    async def test_locked_out(self, hass: HomeAssistant) -> None:
        async with UnifiController(accounts=[Account()]) as controller:
            controller.door.failures = 99
            form = {"url": controller.url, "username": "ha", "password": "x"}
            step = await log_in(hass, "unifi", form)
            assert_form(step, "unifi", {"base": "locked_out"})

    async def test_too_old(self, hass: HomeAssistant) -> None:
        async with UnifiController(keys=[ApiKey()], version="8.6.9") as controller:
            step = await log_in(hass, "unifi", {"url": controller.url, "api_key": self.KEY})
            assert_form(step, "unifi", {"base": "too_old"})

    async def test_sites_and_wans(self, hass: HomeAssistant) -> None:
        async with UnifiController(
            keys=[ApiKey()], sites=("default", "cabin"), wans=2
        ) as controller:
            form = {"url": controller.url, "api_key": self.KEY}
            step = await log_in(hass, "unifi", form)
            assert_form(step, "site")
            assert options(step, "site") == {"default": "Default", "cabin": "Cabin"}
            step = await submit(hass, step, site="cabin")
            assert_form(step, "uplink")
            assert set(options(step, "wan")) == {"wan", "wan2"}
            made = added(hass, await submit(hass, step, wan="wan2"))
            assert (made.data["site"], made.data["wan"]) == ("cabin", "wan2")
            assert made.unique_id == f"unifi-{controller.sites[1].id}-wan2"

            # Another one of them is another connection of the same gateway.
            entry = MockConfigEntry(domain=DOMAIN, unique_id=made.unique_id, data=dict(made.data))
            await hass.config_entries.async_remove(made.entry_id)
            entry.add_to_hass(hass)
            await set_up(hass, entry)
            step = await submit(hass, await entry.start_reconfigure_flow(hass), **form)
            step = await submit(hass, step)
            assert_form(step, "site")
            assert default(step, "site") == "cabin"
            step = await submit(hass, step)
            assert default(step, "wan") == "wan2"
            assert_abort(await submit(hass, step, wan="wan"), "reconfigure_successful")
            assert entry.unique_id == f"unifi-{controller.sites[1].id}"


class TestFritzBox:
    @staticmethod
    def form(box: FritzBox) -> dict[str, str]:
        return {"url": box.url, "username": FRITZ_USER, "password": FRITZ_PASSWORD}

    async def test_permission_is_missing(self, hass: HomeAssistant) -> None:
        async with FritzBox(tls=False) as box:
            box.sharing.permitted.clear()
            step = await log_in(hass, "fritzbox", self.form(box))
            assert_form(step, "fritzbox", {"base": "not_permitted_fritzbox_not_ticked"})
            assert not box.sharing.rows
            box.sharing.permitted.add("127.0.0.1")
            step = await submit(hass, step, **self.form(box))
            added(hass, await submit(hass, step))

    async def test_second_confirmation(self, hass: HomeAssistant) -> None:
        async with FritzBox(tls=False) as box:
            box.connection.second_factor = True
            step = await log_in(hass, "fritzbox", self.form(box))
            assert_form(step, "fritzbox", {"base": "second_factor"})

    async def test_no_access_for_applications(self, hass: HomeAssistant) -> None:
        async with FritzBox(tls=False) as box:
            box.tr064 = False
            step = await log_in(hass, "fritzbox", self.form(box))
            assert_form(step, "fritzbox", {"base": "unsupported"})

    async def test_usual_port(self, hass: HomeAssistant) -> None:
        step = await submit(hass, await start(hass), url="fritzbox")
        form = {"url": "127.0.0.66", "username": "ha", "password": "x"}
        step = await submit(hass, step, **form)
        assert_form(step, "fritzbox", {"base": "no_https"})
        schema = step["data_schema"]
        assert schema
        [url, *_] = schema.schema
        assert url.description == {"suggested_value": "https://127.0.0.66:49443"}
