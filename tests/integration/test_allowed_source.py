"""An opening for fewer than the forward lets in: it is kept, or nothing is open."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, cast

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.openings import limited
from custom_components.port_forward.routers.model import Forward, PortMapping, PortRange, Protocol
from lab.virtual_router import Quirk, VirtualRouter, free_port

from .automating import pass_time
from .conftest import add_forward, forward_data, ledger_of, refresh, set_up, state_of, switch

FRIEND, OTHER = "198.51.100.7", "198.51.100.9"


@pytest.fixture
async def ready(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with `switch.camera`, for everybody, and `switch.plex`, for a network."""
    add_forward(hass, entry, forward_data(external_port))
    add_forward(
        hass, entry, forward_data(free_port(), allowed_source="198.51.100.4/30"), title="Plex"
    )
    await set_up(hass, entry)
    return entry


async def open_for(hass: HomeAssistant, source: str | None = None, **data: Any) -> Any:  # noqa: ANN401
    """Open `switch.camera`, or what `data` says, for a source."""
    if source is not None:
        data["allowed_source"] = source
    return await hass.services.async_call(
        DOMAIN,
        "open",
        {"entity_id": "switch.camera"} | data,
        blocking=True,
        return_response=True,
    )


def sources(router: VirtualRouter) -> list[str]:
    """Return who may connect through each mapping."""
    return [row.remote_host for row in router.mappings]


async def test_only_who_was_named_may_connect(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    answer = await open_for(hass, FRIEND)
    assert answer["switch.camera"]["allowed_source"] == f"{FRIEND}/32"
    assert sources(router) == [FRIEND]
    assert state_of(hass) == "on"
    listed = await hass.services.async_call(
        DOMAIN,
        "list_mappings",
        {"config_entry_id": ready.entry_id},
        blocking=True,
        return_response=True,
    )
    assert listed
    (row,) = cast(list[dict[str, Any]], listed["mappings"])
    assert (row["allowed_source"], row["forward"], row["foreign"]) == (FRIEND, "Camera", False)


async def test_kept_through_looks_renewals_and_restarts(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    ready: MockConfigEntry,
) -> None:
    await open_for(hass, FRIEND)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await refresh(hass, ready)
    assert router.requests["DeletePortMapping"] == 0  # The forward was not edited.
    await pass_time(hass, freezer, minutes=31)
    assert router.requests["AddPortMapping"] == 2  # renewed
    assert sources(router) == [FRIEND]
    await hass.config_entries.async_reload(ready.entry_id)
    await hass.async_block_till_done()
    assert ledger_of(hass, ready)["openings"][0]["limit"] == f"{FRIEND}/32"
    assert not told
    await router.restart(change_port=False)
    await refresh(hass, ready)
    assert sources(router) == [FRIEND]
    assert [event.data["kind"] for event in told] == ["restored"]


async def test_opened_again_for_the_same_is_extended(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await open_for(hass, FRIEND, duration=600)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await open_for(hass, f"{FRIEND}/32", duration=1200)
    await hass.async_block_till_done()
    assert [event.data["kind"] for event in told] == ["extended"]
    assert router.requests["DeletePortMapping"] == 0


@pytest.mark.parametrize("source", [None, OTHER])
async def test_opened_again_for_others_is_opened_anew(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry, source: str | None
) -> None:
    await open_for(hass, FRIEND)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    if source:
        await open_for(hass, source)
    else:
        await switch(hass, "turn_on")
    await hass.async_block_till_done()
    assert sources(router) == [source or ""]
    assert [(event.data["kind"], event.data["reason"]) for event in told] == [
        ("closed", "source_changed"),
        ("opened", None),
    ]
    assert ledger_of(hass, ready)["openings"][0]["limit"] == (f"{source}/32" if source else None)


async def test_edited_while_open_stays_limited(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await open_for(hass, FRIEND)
    port = free_port()
    edit(hass, ready, forward_data(port, allowed_source="198.51.100.4/30"))
    await hass.async_block_till_done()
    assert [(row.external_port, row.remote_host) for row in router.mappings] == [(port, FRIEND)]
    assert state_of(hass) == "on"


async def test_edited_so_that_it_does_not_fit_any_more_closes(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry, external_port: int
) -> None:
    await open_for(hass, FRIEND)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    edit(hass, ready, forward_data(external_port, allowed_source=OTHER))
    await hass.async_block_till_done()
    assert not router.mappings
    assert state_of(hass) == "off"
    assert [(event.data["kind"], event.data["reason"]) for event in told] == [
        ("closed", "forward_edited")
    ]


def edit(hass: HomeAssistant, entry: MockConfigEntry, data: dict[str, Any]) -> None:
    """Edit the forward of the camera as its form would."""
    (camera,) = (s for s in entry.subentries.values() if s.title == "Camera")
    hass.config_entries.async_update_subentry(entry, camera, data=data)


@pytest.mark.parametrize(
    ("entity_id", "source", "key"),
    [
        ("switch.camera", "", "invalid_source"),  # a template that failed
        ("switch.camera", "my phone", "invalid_source"),
        ("switch.camera", "198.51.100.7/24", "invalid_source"),
        ("switch.camera", "0.0.0.0", "invalid_source"),  # noqa: S104  means any to many routers
        ("switch.camera", "2001:db8::1", "source_of_other_version"),
        ("switch.plex", "198.51.100.8", "source_too_wide"),
        ("switch.plex", "198.51.100.0/24", "source_too_wide"),
        ("switch.plex", "0.0.0.0/0", "source_too_wide"),
        # What is wrong with one of them keeps all from being opened.
        (["switch.camera", "switch.plex"], OTHER, "source_too_wide"),
    ],
)
async def test_bad_input_opens_nothing(
    hass: HomeAssistant,
    router: VirtualRouter,
    ready: MockConfigEntry,
    entity_id: str | list[str],
    source: str,
    key: str,
) -> None:
    with pytest.raises(ServiceValidationError) as raised:
        await open_for(hass, source, entity_id=entity_id)
    assert raised.value.translation_key == key
    assert router.requests["AddPortMapping"] == 0


async def test_narrower_than_the_forward(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await open_for(hass, FRIEND, entity_id="switch.plex")
    assert sources(router) == [FRIEND]


@pytest.mark.parametrize(
    ("quirk", "source", "key"),
    [
        (Quirk.Q19, FRIEND, "not_permitted_source_ignored"),
        (Quirk.Q16, FRIEND, "not_permitted_any_source_only"),
        (None, "198.51.100.0/24", "not_permitted_one_source_only"),
    ],
)
async def test_a_router_that_cannot_enforce_it_opens_nothing(
    hass: HomeAssistant,
    router: VirtualRouter,
    ready: MockConfigEntry,
    quirk: Quirk | None,
    source: str,
    key: str,
) -> None:
    if quirk:
        router.quirks.add(quirk)
    with pytest.raises(HomeAssistantError) as raised:
        await open_for(hass, source)
    assert raised.value.translation_key == key
    assert not router.mappings
    assert state_of(hass) == "off"
    assert not ready.runtime_data.keeper.openings


async def test_what_no_router_of_the_kind_can_do_leaves_what_is_open(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await open_for(hass, FRIEND)
    with pytest.raises(HomeAssistantError):
        await open_for(hass, "198.51.100.0/24")
    assert sources(router) == [FRIEND]
    assert router.requests["DeletePortMapping"] == 0


PORT = PortRange.single(80)


def forward(source: str | None, *, is_ipv6: bool = False, both: bool = False) -> Forward:
    return Forward(
        id="f1",
        name="Camera",
        internal_host=None if is_ipv6 else IPv4Address("192.0.2.5"),
        internal_host6=IPv6Address("2001:db8::5") if is_ipv6 or both else None,
        protocols=(Protocol.TCP,),
        external_ports=PORT,
        internal_ports=PORT,
        allowed_source=ip_network(source) if source else None,
    )


def test_limited() -> None:
    """What is let in is never more than either of the two."""
    assert limited(forward(None), None) == forward(None)
    assert limited(forward("198.51.100.0/24"), None) == forward("198.51.100.0/24")
    assert limited(forward(None), IPv4Network(FRIEND)) == forward(FRIEND)
    assert limited(forward("198.51.100.0/24"), IPv4Network(FRIEND)) == forward(FRIEND)
    assert limited(forward(None), IPv4Network("0.0.0.0/0")) == forward(None)
    six = IPv6Network("2001:db8:1::/48")
    assert limited(forward(None, is_ipv6=True), six) == forward(str(six), is_ipv6=True)
    adopted = Forward(
        id="f1",
        name="Camera",
        internal_host=None,
        protocols=(Protocol.TCP,),
        external_ports=PORT,
        internal_ports=PORT,
        adopted=PortMapping(
            protocols=(Protocol.TCP,),
            external_ports=PORT,
            internal_host="192.0.2.5",
            internal_ports=PORT,
        ),
    )
    for wanted, limit in (
        (forward(None), six),
        (forward(None, is_ipv6=True), IPv4Network(FRIEND)),
        (forward(None, both=True), IPv4Network(FRIEND)),
        (forward(FRIEND), IPv4Network(OTHER)),
        (forward(FRIEND), IPv4Network("198.51.100.0/24")),
        (adopted, IPv4Network(FRIEND)),
    ):
        with pytest.raises(ServiceValidationError):
            limited(wanted, limit)
