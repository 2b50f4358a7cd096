"""Adding routers with an API of their own: what holds for every kind of them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from homeassistant.config_entries import SOURCE_IGNORE, ConfigEntryState, ConfigFlowResult
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import free_port

from .conftest import refresh, set_up
from .flows import added, assert_abort, assert_form, start, submit
from .simulators import SIMULATORS, Simulator

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")

WRONG = "not the right one"


@pytest.fixture(autouse=True)
async def _refused_handshakes(hass: HomeAssistant) -> None:
    """Let a server in this very loop complain when a client does not trust its certificate."""
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    assert handler

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not context["message"].startswith("Error on transport creation for incoming"):
            handler(loop, context)

    loop.set_exception_handler(handle)


@pytest.fixture(params=SIMULATORS)
async def router(request: pytest.FixtureRequest) -> AsyncGenerator[Simulator]:
    """Each kind of router, which signed its own certificate."""
    async with SIMULATORS[request.param]() as simulator:
        yield simulator


@pytest.fixture
async def plain() -> AsyncGenerator[Simulator]:
    """A router without TLS."""
    async with SIMULATORS["mikrotik"](tls=False) as simulator:
        yield simulator


# What does not depend on the kind is shown with one of them.
one_kind = pytest.mark.parametrize("router", ["openwrt"], indirect=True)


@pytest.fixture
async def entry(hass: HomeAssistant, router: Simulator) -> MockConfigEntry:
    """The entry of the router as its flow makes it, set up."""
    step = await submit(hass, await choose(hass, router), **router.form)
    made = added(hass, await submit(hass, step))
    await hass.config_entries.async_remove(made.entry_id)
    entry = MockConfigEntry(
        domain=DOMAIN, title=made.title, unique_id=made.unique_id, data=dict(made.data)
    )
    entry.add_to_hass(hass)
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    return entry


async def choose(hass: HomeAssistant, router: Simulator) -> ConfigFlowResult:
    """Go on to the form of the kind of router."""
    step = await submit(hass, await start(hass), url=router.driver)
    assert_form(step, router.driver)
    return step


def shown(step: ConfigFlowResult, name: str) -> str:
    """Return a placeholder of a step."""
    placeholders = step["description_placeholders"]
    assert placeholders
    return str(placeholders[name])


def suggestions(step: ConfigFlowResult) -> dict[str, Any]:
    """Return what is in the fields at first."""
    schema = step["data_schema"]
    assert schema
    return {
        str(field): field.description["suggested_value"]
        for field in schema.schema
        if field.description
    }


def reauth(hass: HomeAssistant) -> ConfigFlowResult:
    """Return the request to log in again."""
    [flow] = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert flow["context"]["source"] == "reauth"
    return flow


async def test_certificate_is_shown_before_anything_is_sent(
    hass: HomeAssistant, router: Simulator
) -> None:
    step = await submit(hass, await choose(hass, router), **router.form)
    assert_form(step, "certificate")
    assert shown(step, "fingerprint").replace(":", "").lower() == router.fingerprint
    assert router.requests() == 0

    entry = added(hass, await submit(hass, step))
    assert entry.title == router.name
    kept = {key: value for key, value in entry.data.items() if key not in ("site", "wan")}
    assert kept == {"driver": router.driver, "fingerprint": router.fingerprint, **router.form}
    for secret in router.login.values():
        assert secret not in f"{entry.title} {entry.unique_id}"


@one_kind
async def test_certificate_that_is_another_one_by_then(
    hass: HomeAssistant, router: Simulator
) -> None:
    step = await submit(hass, await choose(hass, router), **router.form)
    await router.renew_certificate()
    step = await submit(hass, step)
    assert_form(step, "certificate")
    assert shown(step, "fingerprint").replace(":", "").lower() == router.fingerprint
    assert router.requests() == 0
    added(hass, await submit(hass, step))


async def test_wrong_secret(hass: HomeAssistant, router: Simulator) -> None:
    wrong = router.form | {router.secret: WRONG}
    step = await submit(hass, await choose(hass, router), **wrong)
    step = await submit(hass, step)
    assert_form(step, router.driver, {"base": "authentication_failed"})
    assert WRONG not in str(suggestions(step))
    assert suggestions(step)[CONF_URL] == router.url
    step = await submit(hass, step, **router.form)
    added(hass, await submit(hass, step))


async def test_missing_rights(hass: HomeAssistant, router: Simulator) -> None:
    router.grant(enough=False)
    step = await submit(hass, await choose(hass, router), **router.form)
    step = await submit(hass, step)
    assert_form(step, router.driver, {"base": "missing_rights"})
    assert shown(step, "detail")
    router.grant(enough=True)
    step = await submit(hass, step, **router.form)
    added(hass, await submit(hass, step))


async def test_without_tls_only_after_a_warning(hass: HomeAssistant, plain: Simulator) -> None:
    step = await submit(hass, await choose(hass, plain), **plain.form)
    assert_form(step, "unencrypted")
    assert plain.requests() == 0
    entry = added(hass, await submit(hass, step))
    assert entry.data[CONF_URL] == plain.url
    assert "fingerprint" not in entry.data


async def test_https_is_a_guess(hass: HomeAssistant, plain: Simulator) -> None:
    host = plain.url.removeprefix("http://")
    step = await submit(hass, await choose(hass, plain), **plain.form | {"url": host})
    errors = step["errors"]
    assert errors
    # It is a port that speaks, but no TLS.
    assert errors["base"] in ("no_https", "unsupported")
    assert plain.requests() == 0


@one_kind
@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1", "pcp://127.0.0.1", "https://"])
async def test_no_address(hass: HomeAssistant, router: Simulator, url: str) -> None:
    step = await submit(hass, await choose(hass, router), **router.form | {"url": url})
    assert_form(step, router.driver, {"url": "invalid_address"})


@one_kind
async def test_nothing_answers(hass: HomeAssistant, router: Simulator) -> None:
    form = router.form | {"url": f"127.0.0.1:{free_port()}"}
    step = await submit(hass, await choose(hass, router), **form)
    assert_form(step, router.driver, {"base": "no_https"})
    form = router.form | {"url": f"https://127.0.0.1:{free_port()}"}
    step = await submit(hass, step, **form)
    assert_form(step, router.driver, {"base": "unreachable"})


@one_kind
async def test_only_the_place_of_an_address_counts(hass: HomeAssistant, router: Simulator) -> None:
    """What a browser shows in its address bar, or somebody's password."""
    url = router.url.replace("https://", "https://root:secret@") + "/cgi-bin/luci?x=1"
    step = await submit(hass, await choose(hass, router), **router.form | {"url": url})
    assert added(hass, await submit(hass, step)).data[CONF_URL] == router.url


@one_kind
async def test_known_router(hass: HomeAssistant, router: Simulator, entry: MockConfigEntry) -> None:
    step = await submit(hass, await choose(hass, router), **router.form)
    assert_abort(await submit(hass, step), "already_configured")


@one_kind
async def test_router_that_was_ignored(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry
) -> None:
    unique_id = entry.unique_id
    await hass.config_entries.async_remove(entry.entry_id)
    MockConfigEntry(domain=DOMAIN, source=SOURCE_IGNORE, unique_id=unique_id).add_to_hass(hass)
    step = await submit(hass, await choose(hass, router), **router.form)
    added(hass, await submit(hass, step))


async def test_log_in_again(hass: HomeAssistant, router: Simulator, entry: MockConfigEntry) -> None:
    router.set_secret("another one")
    await refresh(hass, entry)
    step = reauth(hass)
    step = await hass.config_entries.flow.async_configure(step["flow_id"])
    assert_form(step, router.driver)
    assert suggestions(step)[CONF_URL] == router.url
    assert not set(router.login.values()) & {suggestions(step).get(router.secret)}
    step = await submit(hass, step, **router.form)
    assert_abort(step, "reauth_successful")
    assert entry.data[router.secret] == "another one"
    assert entry.data["fingerprint"] == router.fingerprint
    assert entry.state is ConfigEntryState.LOADED
    assert entry.runtime_data.last_update_success


@one_kind
async def test_log_in_again_after_a_start(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry
) -> None:
    router.set_secret("another one")
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state.value == "setup_error"
    step = await submit(hass, reauth(hass), **router.form)
    assert_abort(step, "reauth_successful")
    assert entry.state is ConfigEntryState.LOADED


async def test_another_certificate_later(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry
) -> None:
    """It is never trusted silently, and nothing is sent before the user has looked."""
    await router.renew_certificate()
    before = router.requests()
    await refresh(hass, entry)
    assert not entry.runtime_data.last_update_success
    step = await submit(hass, reauth(hass), **router.form)
    assert_form(step, "certificate_changed")
    assert shown(step, "fingerprint").replace(":", "").lower() == router.fingerprint
    assert router.requests() == before
    assert_abort(await submit(hass, step), "reauth_successful")
    assert entry.data["fingerprint"] == router.fingerprint
    assert entry.runtime_data.last_update_success


async def test_reconfigure(hass: HomeAssistant, router: Simulator, entry: MockConfigEntry) -> None:
    router.set_secret("another one")
    step = await entry.start_reconfigure_flow(hass)
    assert_form(step, router.driver)
    step = await submit(hass, step, **router.form)
    assert_abort(step, "reconfigure_successful")
    assert entry.data[router.secret] == "another one"
    assert entry.state is ConfigEntryState.LOADED


@one_kind
async def test_reconfigure_with_other_hardware_at_the_same_address(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry
) -> None:
    """As when a broken router was replaced, and its settings restored."""
    hass.config_entries.async_update_entry(entry, unique_id=f"{router.driver}-of-another")
    await hass.async_block_till_done()
    step = await entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, **router.form)
    assert_form(step, "same_router")
    assert entry.unique_id == f"{router.driver}-of-another"
    assert_abort(await submit(hass, step), "reconfigure_successful")
    assert entry.unique_id != f"{router.driver}-of-another"
    assert entry.state is ConfigEntryState.LOADED


@one_kind
async def test_reconfigure_with_another_router(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry
) -> None:
    other = MockConfigEntry(domain=DOMAIN, unique_id=entry.unique_id, data=dict(entry.data))
    hass.config_entries.async_update_entry(entry, unique_id=f"{router.driver}-of-another")
    other.add_to_hass(hass)
    await hass.async_block_till_done()
    step = await entry.start_reconfigure_flow(hass)
    assert_abort(await submit(hass, step, **router.form), "already_configured")
    await hass.config_entries.async_remove(other.entry_id)
    hass.config_entries.async_update_entry(entry, data={**entry.data, "url": "https://127.0.0.66"})
    await hass.async_block_till_done()
    step = await entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, **router.form)
    assert_form(step, "certificate")
    assert_abort(await submit(hass, step), "another_router")
