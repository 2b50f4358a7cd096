"""A password that the router does not accept any more, while something should be closed."""

from collections.abc import AsyncGenerator

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntryDisabler, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.history import async_history

from .automating import forward_id_of, pass_time
from .conftest import add_forward, forward_data, refresh, set_up, state_of, switch
from .flows import added, assert_abort, assert_form, start, submit
from .simulators import SIMULATORS, Simulator

pytestmark = [pytest.mark.usefixtures("gateway_is_unknown"), pytest.mark.freeze_time(tick=True)]

WRONG = "not the right one"

# With the requests that some make before and after each: for a challenge, to take back.
REQUESTS_OF_A_TRY = 6


@pytest.fixture(params=SIMULATORS)
async def router(request: pytest.FixtureRequest) -> AsyncGenerator[Simulator]:
    """Each kind of router."""
    async with SIMULATORS[request.param](tls=False) as simulator:
        yield simulator


@pytest.fixture
def secret(router: Simulator) -> str:
    """What the user has typed in."""
    return router.login[router.secret]


@pytest.fixture
async def entry(
    hass: HomeAssistant, router: Simulator, secret: str, external_port: int
) -> MockConfigEntry:
    """The entry of the router, with a forward to this machine that is open."""
    step = await submit(hass, await start(hass), url=router.driver)
    step = await submit(hass, step, **router.form)
    assert_form(step, "unencrypted")
    made = added(hass, await submit(hass, step))
    await hass.config_entries.async_remove(made.entry_id)
    entry = MockConfigEntry(
        domain=DOMAIN, title=made.title, unique_id=made.unique_id, data=dict(made.data)
    )
    entry.add_to_hass(hass)
    add_forward(hass, entry, forward_data(external_port, internal_host="127.0.0.1"))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert state_of(hass) == "on"
    return entry


def asked_to_log_in(hass: HomeAssistant) -> int:
    flows = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    return sum(flow["context"]["source"] == SOURCE_REAUTH for flow in flows)


def repair(hass: HomeAssistant, entry: MockConfigEntry) -> str | None:
    """Return what the repair of the forward says."""
    issue_id = f"not_closed_{forward_id_of(entry)}"
    issue = ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    return issue.translation_key if issue else None


async def close(hass: HomeAssistant) -> None:
    """Try to close, as a user would by the action: the switch is unavailable."""
    with pytest.raises(HomeAssistantError):
        await hass.services.async_call(
            DOMAIN, "close", {"entity_id": "switch.camera"}, blocking=True
        )


async def test_a_day_with_a_close_that_is_pending(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: Simulator,
    entry: MockConfigEntry,
) -> None:
    router.set_secret(WRONG)
    before = router.requests()
    for number in range(24 * 12):
        if number % 6 == 0:
            await close(hass)
        await pass_time(hass, freezer, minutes=5)
        if number == 0:
            assert asked_to_log_in(hass) == 1
            assert repair(hass, entry) == "not_closed_login"
    patience = async_history(hass, entry.entry_id).patience
    assert 2 <= patience._refusals <= 7
    assert router.requests() - before <= 7 * REQUESTS_OF_A_TRY
    assert asked_to_log_in(hass) == 1


@pytest.mark.parametrize("router", ["openwrt"], indirect=True)
async def test_put_in_order_at_the_router(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: Simulator,
    secret: str,
    entry: MockConfigEntry,
) -> None:
    router.set_secret(WRONG)
    await close(hass)
    router.set_secret(secret)
    await pass_time(hass, freezer, minutes=6)
    await pass_time(hass, freezer, minutes=6)
    assert repair(hass, entry) is None
    assert not entry.runtime_data.keeper.openings


async def test_close_is_what_meets_it_first(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry
) -> None:
    router.set_secret(WRONG)
    await close(hass)
    await hass.async_block_till_done()
    assert asked_to_log_in(hass) == 1
    assert repair(hass, entry) == "not_closed_login"
    before = router.requests()
    for _ in range(10):
        await close(hass)
        await refresh(hass, entry)
    assert router.requests() == before


@pytest.mark.parametrize("router", ["openwrt"], indirect=True)
async def test_close_that_failed_before_for_another_reason(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: Simulator,
    secret: str,
    entry: MockConfigEntry,
) -> None:
    router.grant(enough=False)
    await close(hass)
    assert repair(hass, entry) == "not_closed"
    router.set_secret(WRONG)
    await refresh(hass, entry)
    assert repair(hass, entry) == "not_closed_login"
    router.set_secret(secret)
    await pass_time(hass, freezer, minutes=6)
    await refresh(hass, entry)
    assert repair(hass, entry) == "not_closed"


@pytest.mark.parametrize("router", ["openwrt"], indirect=True)
async def test_reloads_try_no_more_often_than_once_a_minute(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, router: Simulator, entry: MockConfigEntry
) -> None:
    router.set_secret(WRONG)
    await refresh(hass, entry)
    before = router.requests()
    for _ in range(10):
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done()
        assert entry.state is ConfigEntryState.SETUP_ERROR
    assert router.requests() == before
    await pass_time(hass, freezer, minutes=2)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert router.requests() > before
    assert asked_to_log_in(hass) == 1


async def test_logging_in_again_with_the_same_password(
    hass: HomeAssistant, router: Simulator, secret: str, entry: MockConfigEntry
) -> None:
    """The account was locked, say, and the user has put that in order."""
    router.set_secret(WRONG)
    await close(hass)
    await hass.async_block_till_done()
    router.set_secret(secret)
    [flow] = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    step = await hass.config_entries.flow.async_configure(flow["flow_id"])
    step = await submit(hass, step, **router.form)
    if step["step_id"] == "unencrypted":
        step = await submit(hass, step)
    assert_abort(step, "reauth_successful")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert entry.state is ConfigEntryState.LOADED
    assert repair(hass, entry) is None
    assert state_of(hass) == "off"


@pytest.mark.parametrize("router", ["openwrt"], indirect=True)
@pytest.mark.parametrize("how", ["deleted", "disabled"])
async def test_nobody_is_asked_about_a_router_that_goes(
    hass: HomeAssistant, router: Simulator, entry: MockConfigEntry, how: str
) -> None:
    router.set_secret(WRONG)
    if how == "deleted":
        await hass.config_entries.async_remove(entry.entry_id)
    else:
        by = ConfigEntryDisabler.USER
        await hass.config_entries.async_set_disabled_by(entry.entry_id, by)
    await hass.async_block_till_done()
    assert not asked_to_log_in(hass)
    assert ir.async_get(hass).async_get_issue(DOMAIN, f"left_open_{entry.entry_id}")
