"""Adding a forward to a router, and editing it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntryState,
    ConfigSubentry,
    SubentryFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData, section
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import SUBENTRY_TYPE_FORWARD, THIS_HOME_ASSISTANT
from custom_components.port_forward.forward_flow.form import MORE, errors_at
from lab.virtual_router import VirtualRouter
from tests.translations import rendered

from .conftest import add_forward, forward_data, set_up, state_of, switch
from .flows import nested

TYPED = {
    "name": "Camera",
    "internal_host": "127.0.0.5",
    "protocol": "tcp",
    "internal_ports": "8080",
}
# What the form fills in by itself; of an adopted rule only what few need.
ADOPTED_FILLED_IN = {"admins_only": False, "only_while_reachable": False}
FILLED_IN = {
    "ip_version": "ipv4",
    "close_after": {"days": 0, "hours": 1, "minutes": 0, "seconds": 0},
    "until_closed": False,
    **ADOPTED_FILLED_IN,
}


async def start(hass: HomeAssistant, entry: MockConfigEntry) -> SubentryFlowResult:
    """Click "Add port forward"."""
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_TYPE_FORWARD), context={"source": SOURCE_USER}
    )


async def edit(
    hass: HomeAssistant, entry: MockConfigEntry, subentry: ConfigSubentry
) -> SubentryFlowResult:
    """Click "Edit port forward"."""
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_TYPE_FORWARD),
        context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry.subentry_id},
    )


async def submit(
    hass: HomeAssistant, step: SubentryFlowResult, values: dict[str, Any]
) -> SubentryFlowResult:
    result = await hass.config_entries.subentries.async_configure(
        step["flow_id"], nested(step, values)
    )
    await hass.async_block_till_done()
    return result


def assert_form(
    step: SubentryFlowResult, step_id: str, errors: dict[str, str] | None = None
) -> None:
    assert (step["type"], step["step_id"]) == (FlowResultType.FORM, step_id)
    assert (step["errors"] or {}) == (errors or {})


def shown(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in the fields, those of a section included."""
    schema = step["data_schema"]
    assert schema
    return {
        str(key): key.description["suggested_value"]
        for key in fields(schema)
        if key.description and "suggested_value" in key.description
    }


def fields(schema: vol.Schema) -> Iterator[vol.Required | vol.Optional]:
    """Iterate over the fields of a form, those of a section included."""
    for key, part in schema.schema.items():
        if isinstance(part, section):
            yield from fields(part.schema)
        else:
            yield key


def message(step: SubentryFlowResult) -> str:
    """Return what the form says to the first error."""
    [key] = (step["errors"] or {}).values()
    error = f"config_subentries.forward.error.{key}"
    return rendered(error, step["description_placeholders"])


async def test_add(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await set_up(hass, entry)
    step = await start(hass, entry)
    assert_form(step, "user")
    # Without it, the frontend chooses the first of the list for the user.
    assert shown(step) == {"internal_host": ""}
    step = await submit(hass, step, TYPED | {"external_ports": "8443"})
    assert step["type"] is FlowResultType.CREATE_ENTRY
    [subentry] = entry.subentries.values()
    assert (subentry.subentry_type, subentry.title) == ("forward", "Camera")
    assert dict(subentry.data) == {
        "internal_host": "127.0.0.5",
        "protocol": "tcp",
        "internal_ports": "8080",
        "external_ports": "8443",
        **FILLED_IN,
    }
    assert state_of(hass) == "off"


async def test_add_with_everything(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    await set_up(hass, entry)
    typed = {
        "name": "  Front door ",
        "internal_host": " localhost ",
        "protocol": "both",
        "internal_ports": " 8080 ",
        "external_ports": f" {external_port} ",
        "allowed_source": " 198.51.100.7 ",
        "ip_version": "ipv4",
        "close_after": {"days": 1, "hours": 2, "minutes": 3, "seconds": 4},
        "until_closed": True,
    }
    step = await submit(hass, await start(hass, entry), typed)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    [subentry] = entry.subentries.values()
    assert subentry.title == "Front door"
    assert dict(subentry.data) == {
        "internal_host": "localhost",
        "protocol": "both",
        "internal_ports": "8080",
        "external_ports": str(external_port),
        "allowed_source": "198.51.100.7",
        "ip_version": "ipv4",
        "close_after": {"days": 1, "hours": 2, "minutes": 3, "seconds": 4},
        "until_closed": True,
        "admins_only": False,
        "only_while_reachable": False,
        "accepted_targets": ["home_assistant"],
    }
    await switch(hass, "turn_on", "switch.front_door")
    assert {
        (row.protocol, row.external_port, row.internal_host, row.internal_port, row.remote_host)
        for row in router.mappings
    } == {
        (protocol, external_port, "127.0.0.1", 8080, "198.51.100.7") for protocol in ("TCP", "UDP")
    }
    await switch(hass, "turn_off", "switch.front_door")


async def test_empty_fields_are_not_kept(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await set_up(hass, entry)
    typed = TYPED | {"external_ports": " ", "allowed_source": ""}
    await submit(hass, await start(hass, entry), typed)
    [subentry] = entry.subentries.values()
    assert not {"external_ports", "allowed_source"} & set(subentry.data)


async def test_more(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """What stands in the section is kept and shown like everything else."""
    step = await start(hass, entry)
    assert step["data_schema"]
    more = step["data_schema"].schema[MORE]
    assert more.options == {"collapsed": True}
    await submit(hass, step, TYPED | {"admins_only": True})
    [subentry] = entry.subentries.values()
    assert subentry.data["admins_only"] is True
    assert MORE not in subentry.data
    step = await edit(hass, entry, subentry)
    assert shown(step)["admins_only"] is True
    await submit(hass, step, TYPED | {"admins_only": False})
    assert subentry.data["admins_only"] is False


async def test_more_is_open_when_there_is_an_error_in_it(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    for wrong, collapsed in (
        ({"internal_ports": "0"}, True),
        ({"close_when_idle": {"seconds": 5}}, False),
    ):
        step = await submit(hass, await start(hass, entry), TYPED | wrong)
        assert step["data_schema"]
        more = step["data_schema"].schema[MORE]
        assert more.options == {"collapsed": collapsed}
        assert shown(step) == TYPED | FILLED_IN | wrong


def test_errors_in_more_are_shown_above_it() -> None:
    errors = {"admins_only": "one", "internal_ports": "two"}
    assert errors_at(errors) == {MORE: "one", "internal_ports": "two"}


async def test_this_home_assistant(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    await set_up(hass, entry)
    step = await start(hass, entry)
    schema = step["data_schema"]
    assert schema
    # The frontend shows the value itself where others may be typed in as well.
    assert schema.schema["internal_host"].config["options"] == [
        {"value": choice, "label": choice}
        for choice in ("This Home Assistant", "The device that causes it")
    ]
    typed = TYPED | {"internal_host": THIS_HOME_ASSISTANT, "external_ports": str(external_port)}
    await submit(hass, step, typed)
    await switch(hass, "turn_on")
    [mapping] = router.mappings
    assert mapping.internal_host == "127.0.0.1"
    await switch(hass, "turn_off")


BAD_INPUT: tuple[tuple[dict[str, Any], str, str, str], ...] = (
    ({"name": " "}, "name", "name_empty", "a name"),
    ({"internal_ports": "0"}, "internal_ports", "invalid_ports", "“0”"),
    ({"internal_ports": "65536"}, "internal_ports", "invalid_ports", "“65536”"),
    ({"external_ports": "8010-8000"}, "external_ports", "invalid_ports", "“8010-8000”"),
    ({"external_ports": "8000-8001"}, "external_ports", "ranges_differ", "external ports: 2"),
    ({"internal_ports": "8000-8100"}, "internal_ports", "too_many_mappings", "101 port mappings"),
    (
        {"protocol": "both", "internal_ports": "1-51", "external_ports": "101-151"},
        "external_ports",
        "too_many_mappings",
        "102 port mappings",
    ),
    ({"internal_host": "camera.lan"}, "internal_host", "host_unknown", "“camera.lan”"),
    ({"internal_host": "  "}, "internal_host", "host_empty", "which device"),
    ({"internal_host": "192.168.1.5"}, "internal_host", "host_outside", "192.168.1.5 is not"),
    ({"internal_host": "198.51.100.7"}, "internal_host", "host_outside", "(127.0.0.1)"),
    ({"allowed_source": "my friend"}, "allowed_source", "invalid_source", "“my friend”"),
    ({"allowed_source": "224.0.0.1"}, "allowed_source", "invalid_source", "“224.0.0.1”"),
    (
        {"allowed_source": "198.51.100.0/24"},
        "allowed_source",
        "not_permitted_one_source_only",
        "one address",
    ),
    (
        {"external_ports": "9443"},
        "external_ports",
        "ports_in_use",
        "9443 is already used by “Door”",
    ),
    (
        {"protocol": "both", "internal_ports": "9440-9450"},
        "external_ports",
        "ports_in_use",
        "9440-9450 is already used by “Door”",
    ),
    *(
        ({"close_after": close_after}, "close_after", "close_after_out_of_range", "at most 30 days")
        for close_after in (
            {"hours": 0, "minutes": 0, "seconds": 0},
            {"days": 30, "seconds": 1},
            {"days": 1e30},  # longer than Python can count
        )
    ),
)


@pytest.mark.parametrize(("wrong", "field", "key", "says"), BAD_INPUT)
@pytest.mark.usefixtures("name_server")
async def test_bad_input(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    wrong: dict[str, Any],
    field: str,
    key: str,
    says: str,
) -> None:
    add_forward(hass, entry, forward_data(9443), title="Door")
    step = await start(hass, entry)
    step = await submit(hass, step, TYPED | wrong)
    assert_form(step, "user", {field: key})
    assert says in message(step)
    assert shown(step) == TYPED | FILLED_IN | wrong
    step = await submit(hass, step, TYPED)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    assert len(entry.subentries) == 2


async def test_unknown_protocol(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    step = await start(hass, entry)
    with pytest.raises(InvalidData) as raised:
        await submit(hass, step, TYPED | {"protocol": "icmp"})
    assert list(raised.value.schema_errors) == ["protocol"]


@pytest.mark.parametrize(
    "close_after",
    [{"hours": -1}, {"hours": "many"}, {"hours": "nan"}, {"weeks": 1}, {}, "01:00:00", 3600, None],
)
async def test_no_duration(
    hass: HomeAssistant, entry: MockConfigEntry, close_after: object
) -> None:
    """The frontend cannot send these."""
    step = await start(hass, entry)
    with pytest.raises(InvalidData):
        await submit(hass, step, TYPED | {"close_after": close_after})


async def test_same_port_of_the_other_protocol(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    add_forward(hass, entry, forward_data(9443), title="Door")
    typed = TYPED | {"external_ports": "9443", "protocol": "udp"}
    step = await submit(hass, await start(hass, entry), typed)
    assert step["type"] is FlowResultType.CREATE_ENTRY


async def test_router_is_away(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await router.stop()
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    step = await submit(hass, await start(hass, entry), TYPED)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    [subentry] = entry.subentries.values()
    step = await submit(hass, await edit(hass, entry, subentry), TYPED | {"name": "Door"})
    assert step["reason"] == "reconfigure_successful"
    assert subentry.title == "Door"

    await router.start()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass, "switch.door") == "off"


@pytest.mark.usefixtures("name_server")
async def test_name_of_the_router_does_not_resolve(hass: HomeAssistant) -> None:
    """That is not said at the field of the internal host."""
    entry = MockConfigEntry(
        domain="port_forward",
        data={"driver": "upnp", "url": "http://router.lan/rootDesc.xml", "wan": "wan"},
    )
    entry.add_to_hass(hass)
    step = await submit(hass, await start(hass, entry), TYPED)
    assert_form(step, "user", {"base": "router_unknown"})
    assert message(step).startswith("“router.lan”, the router,")


async def test_edit(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    data = forward_data(
        external_port,
        allowed_source="198.51.100.7",
        ip_version="ipv4",
        close_after={"days": 2, "hours": 3, "minutes": 4, "seconds": 5},
        until_closed=True,
    )
    subentry = add_forward(hass, entry, data)
    await set_up(hass, entry)
    step = await edit(hass, entry, subentry)
    assert_form(step, "reconfigure")
    assert shown(step) == {"name": "Camera", **data}

    # Its own port is no obstacle.
    step = await submit(hass, step, {"name": " Door ", **data, "internal_ports": "8081"})
    assert (step["type"], step["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert subentry.title == "Door"
    assert dict(subentry.data) == FILLED_IN | data | {"internal_ports": "8081"}
    assert entry.state is ConfigEntryState.LOADED
    await switch(hass, "turn_on")
    assert [mapping.internal_port for mapping in router.mappings] == [8081]
    await switch(hass, "turn_off")


async def test_edit_empties_fields(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    data = forward_data(9443, allowed_source="198.51.100.7")
    subentry = add_forward(hass, entry, data)
    step = await edit(hass, entry, subentry)
    # What the frontend sends for a field that was emptied.
    step = await submit(hass, step, TYPED)
    assert step["reason"] == "reconfigure_successful"
    kept = {key: value for key, value in TYPED.items() if key != "name"}
    assert subentry.data == kept | FILLED_IN


async def test_edit_a_forward_of_an_earlier_version(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """It has no *close after* yet, and gets that which the form shows."""
    old = {key: value for key, value in TYPED.items() if key != "name"}
    subentry = add_forward(hass, entry, old)
    step = await edit(hass, entry, subentry)
    assert shown(step) == TYPED
    schema = step["data_schema"]
    assert schema
    defaults = {
        str(key): key.default()
        for key in fields(schema)
        if not isinstance(key.default, vol.Undefined) and str(key) in FILLED_IN
    }
    assert defaults == FILLED_IN
    await submit(hass, step, TYPED)
    assert subentry.data == old | FILLED_IN


async def test_edit_with_bad_input(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    add_forward(hass, entry, forward_data(9443), title="Door")
    subentry = add_forward(hass, entry, forward_data(9444))
    before = MappingProxyType(dict(subentry.data))
    step = await edit(hass, entry, subentry)
    typed = TYPED | {"external_ports": "9443"}
    step = await submit(hass, step, typed)
    assert_form(step, "reconfigure", {"external_ports": "ports_in_use"})
    assert shown(step) == typed | FILLED_IN
    assert subentry.data == before
    step = await submit(hass, step, TYPED)
    assert step["reason"] == "reconfigure_successful"


async def test_edit_moves_an_open_port(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    subentry = add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    data = forward_data(external_port, internal_ports="8081")
    await submit(hass, await edit(hass, entry, subentry), {"name": "Camera", **data})
    assert state_of(hass) == "on"
    assert [mapping.internal_port for mapping in router.mappings] == [8081]
    await switch(hass, "turn_off")


@pytest.mark.parametrize(
    ("change", "then"),
    [
        ({"close_after": {"hours": 3}}, timedelta(hours=3)),
        ({"until_closed": True}, None),
    ],
)
async def test_edit_of_the_times_alone_leaves_an_open_port_as_it_is(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    change: dict[str, Any],
    then: timedelta | None,
) -> None:
    data = forward_data(external_port, until_closed=False, close_after={"minutes": 30})
    subentry = add_forward(hass, entry, data)
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    before = state_of(hass, "sensor.camera_closes_at")

    await submit(hass, await edit(hass, entry, subentry), {"name": "Camera", **data, **change})
    assert (state_of(hass), state_of(hass, "sensor.camera_closes_at")) == ("on", before)
    assert router.requests["AddPortMapping"] == 1
    assert router.requests["DeletePortMapping"] == 0

    await switch(hass, "turn_off")
    await switch(hass, "turn_on")
    expected = (dt_util.utcnow().replace(microsecond=0) + then).isoformat() if then else "unknown"
    assert state_of(hass, "sensor.camera_closes_at") == expected
    await switch(hass, "turn_off")
