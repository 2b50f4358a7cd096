"""The forms: what they lead to, and what they say to values that cannot be used."""

import random
from ipaddress import IPv4Address
from typing import Any

import aiohttp
import pytest

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import VirtualRouter, Wan, free_port
from tests.e2e.clients import PAGE, Camera, fetch
from tests.e2e.forms import Step
from tests.e2e.ui import FORWARD_FLOW, OPTIONS_FLOW, ROUTER_FLOW, ForwardOnScreen, Ui

CAMERA = {"name": "Camera", "internal_host": "127.0.0.1", "protocol": "tcp", "internal_ports": "80"}

# A name that nobody has to be asked for: no label may be this long (RFC 1035 §2.3.4).
UNKNOWN_HOST = "camera" * 11


def assert_readable(texts: dict[str, str], where: str, step: Step) -> None:
    """Check that each error of the form has a text, and the text all that it names."""
    for key in step["errors"].values():
        text = texts[f"component.port_forward.{where}.error.{key}"]
        assert text.format_map(step["description_placeholders"])


async def test_wrong_urls(ui: Ui, inside: Camera, router: VirtualRouter) -> None:
    texts = await ui.texts("config")
    step = await ui.start_adding_router()
    for url, errors in (
        ("ftp://127.0.0.1/", {"url": "invalid_url"}),
        (f"http://127.0.0.1:{free_port()}/", {"base": "unreachable"}),
        # Web servers, but of a camera, and with nothing at that path.
        (f"http://127.0.0.1:{inside.port}/", {"base": "protocol_error"}),
        (f"{router.description_url}.html", {"base": "unsupported"}),
    ):
        step = await ui.submit(ROUTER_FLOW, step, url=url)
        assert (step["type"], step["errors"]) == ("form", errors), url
        assert_readable(texts, "config", step)
    step = await ui.submit(ROUTER_FLOW, step, url=router.description_url)
    await ui.added(step)


async def test_router_by_its_host_alone(ui: Ui) -> None:
    # Port 1900 of an address that no other test and no other program has.
    host = str(IPv4Address("127.1.0.0") + random.randrange(1, 2**16))  # noqa: S311
    async with VirtualRouter(lan_host=host, ssdp=True) as router:
        added = await ui.add_router(host)
        assert router.requests["GET /rootDesc.xml"]
        await ui.delete_router(added.entry)


async def test_the_same_router_again(ui: Ui, router: VirtualRouter) -> None:
    await ui.add_router(router.description_url)
    step = await ui.start_adding_router()
    step = await ui.submit(ROUTER_FLOW, step, url=router.description_url)
    assert (step["type"], step["reason"]) == ("abort", "already_configured")
    assert len(await ui.routers()) == 1


async def test_router_with_two_connections(ui: Ui, inside: Camera, port: int) -> None:
    wans = (Wan(), Wan(kind="ppp", external_address="198.51.100.7"))
    async with VirtualRouter(wans=wans) as router:
        step = await ui.start_adding_router()
        step = await ui.submit(ROUTER_FLOW, step, url=router.description_url)
        assert (step["type"], step["step_id"]) == ("form", "wan")
        [field] = step["data_schema"]
        options = field["selector"]["select"]["options"]
        [second] = [o["value"] for o in options if "198.51.100.7" in o["label"]]
        added = await ui.added(await ui.submit(ROUTER_FLOW, step, wan=second))
        door = await ui.add_forward(
            added.entry,
            added.first_forward,
            **CAMERA | {"internal_ports": str(inside.port), "external_ports": str(port)},
        )
        await ui.turn_on(door)
        assert await fetch(port) == PAGE
        assert [len(wan.mappings) for wan in router.wans] == [0, 1]
        await ui.delete_router(added.entry)
        assert router.wans[1].mappings == ()


async def test_wrong_forwards(ui: Ui, door: ForwardOnScreen, port: int) -> None:
    texts = await ui.texts("config_subentries")
    step = await ui.start_adding_forward(door.entry)
    wrong: tuple[tuple[dict[str, Any], dict[str, str]], ...] = (
        ({"name": " "}, {"name": "name_empty"}),
        ({"internal_host": UNKNOWN_HOST}, {"internal_host": "host_unknown"}),
        ({"internal_host": "198.51.100.7"}, {"internal_host": "host_outside"}),
        ({"internal_ports": "0"}, {"internal_ports": "invalid_ports"}),
        ({"internal_ports": "http"}, {"internal_ports": "invalid_ports"}),
        ({"external_ports": "65536"}, {"external_ports": "invalid_ports"}),
        ({"external_ports": "8010-8000"}, {"external_ports": "invalid_ports"}),
        ({"external_ports": "8000-8001"}, {"external_ports": "ranges_differ"}),
        ({"internal_ports": "8000-8100"}, {"internal_ports": "too_many_mappings"}),
        (
            {"protocol": "both", "internal_ports": "8000-8050", "external_ports": "9000-9050"},
            {"external_ports": "too_many_mappings"},
        ),
        ({"external_ports": f"{port}"}, {"external_ports": "ports_in_use"}),
        ({"allowed_source": "my friend"}, {"allowed_source": "invalid_source"}),
        ({"allowed_source": "203.0.113.7/16"}, {"allowed_source": "invalid_source"}),
    )
    for values, errors in wrong:
        step = await ui.submit(FORWARD_FLOW, step, **CAMERA | values)
        assert (step["type"], step["errors"]) == ("form", errors), values
        assert_readable(texts, "config_subentries.forward", step)
    await ui.add_forward(door.entry, step, **CAMERA, external_ports=str(free_port()))


async def test_options(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, changes: list[str]
) -> None:
    two_hours = {"hours": 2}  # longer than a lease
    await ha.call("port_forward", "open", entity_id=door.switch, duration=two_hours)
    assert [mapping.lease for mapping in router.mappings] == [3600]

    await ui.set_options(door.entry, refresh_interval=30, lease=600)
    await ha.wait_for_state(door.switch, "on")
    assert len(changes) == 1
    await ui.turn_off(door)
    await ha.call("port_forward", "open", entity_id=door.switch, duration=two_hours)
    assert [mapping.lease for mapping in router.mappings] == [600]

    step = await ha.post(OPTIONS_FLOW, {"handler": door.entry})
    with pytest.raises(aiohttp.ClientResponseError, match="refresh_interval"):
        await ui.submit(OPTIONS_FLOW, step, refresh_interval=1, lease=600)
