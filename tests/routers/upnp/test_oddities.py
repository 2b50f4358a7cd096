"""Answers that the virtual router does not give, word for word."""

import aiohttp
import pytest
from aiohttp import web

from custom_components.port_forward.routers.errors import (
    InvalidForwardError,
    NotMappedError,
    NotPermittedError,
    PortConflictError,
    ProtocolError,
    Refusal,
    RouterError,
    RouterUnreachableError,
)
from custom_components.port_forward.routers.model import Listing
from custom_components.port_forward.routers.upnp import UpnpRouter, survey
from lab.virtual_router import free_port

from ..forwards import forward
from .home import CAMERA, HOUR, listing_of
from .scripted import Answer, fault, reply, scripted, success

ADDRESS = success("GetExternalIPAddress", NewExternalIPAddress="203.0.113.7")


async def test_list_that_is_refused_from_the_start(session: aiohttp.ClientSession) -> None:
    async with scripted({"GetGenericPortMappingEntry": fault(606)}) as script:
        driver = UpnpRouter(session, script.url)
        assert (await driver.snapshot()).mappings == ()
        assert listing_of(driver) is Listing.NONE
        # Once it lists, it is believed again.
        script.answers["GetGenericPortMappingEntry"] = fault(713)
        await driver.snapshot()
        assert listing_of(driver) is Listing.FULL


async def test_one_bad_row_does_not_hide_the_others(session: aiohttp.ClientSession) -> None:
    def row(arguments: dict[str, str]) -> web.Response:
        match arguments["NewPortMappingIndex"]:
            case "0":
                return reply("<garbage")(arguments)
            case "2":
                return fault(501)(arguments)
            case "1" | "3" as index:
                return success(
                    "GetGenericPortMappingEntry",
                    NewExternalPort=f"80{index}",
                    NewProtocol="TCP",
                    NewInternalPort="80",
                    NewInternalClient=CAMERA,
                )(arguments)
            case _:
                return fault(713)(arguments)

    async with scripted({"GetGenericPortMappingEntry": row}) as script:
        snapshot = await UpnpRouter(session, script.url).snapshot()
        assert [row.external_ports.first for row in snapshot.mappings] == [801, 803]


async def test_bulk_guard_that_gives_no_clear_answer_walks(session: aiohttp.ClientSession) -> None:
    for guard in (fault(501), reply("garbage"), success("GetGenericPortMappingEntry")):

        def row(arguments: dict[str, str], guard: Answer = guard) -> web.Response:
            last = arguments["NewPortMappingIndex"] == "100"
            return (guard if last else fault(713))(arguments)

        async with scripted({"GetGenericPortMappingEntry": row}, version=2) as script:
            await UpnpRouter(session, script.url).snapshot()
            assert "GetListOfPortMappings" not in [action for action, _ in script.asked]


@pytest.mark.parametrize("code", [714, 730])
async def test_bulk_list_of_nothing(session: aiohttp.ClientSession, code: int) -> None:
    answers = {"GetGenericPortMappingEntry": fault(713), "GetListOfPortMappings": fault(code)}
    async with scripted(answers, version=2) as script:
        driver = UpnpRouter(session, script.url)
        assert (await driver.snapshot()).mappings == ()
        assert "bulk" not in driver.learned


async def test_bulk_list_that_is_no_xml(session: aiohttp.ClientSession) -> None:
    answers = {
        "GetGenericPortMappingEntry": fault(713),
        "GetListOfPortMappings": success("GetListOfPortMappings", NewPortListing="<p:"),
    }
    async with scripted(answers, version=2) as script:
        driver = UpnpRouter(session, script.url)
        assert (await driver.snapshot()).mappings == ()
        assert driver.learned["bulk"] == "no"


async def test_state_that_the_router_will_not_tell(session: aiohttp.ClientSession) -> None:
    async with scripted(
        {
            "GetStatusInfo": fault(401),
            "GetExternalIPAddress": fault(501),
            "GetGenericPortMappingEntry": fault(713),
        }
    ) as script:
        snapshot = await UpnpRouter(session, script.url).snapshot()
        assert snapshot.external_address is None
        assert snapshot.connected is None
        assert snapshot.uptime is None


@pytest.mark.parametrize("address", ["", "nonsense", "203.0.113.7.8", "::1", "0x7f.1"])
async def test_external_address_of_nonsense_is_none(
    session: aiohttp.ClientSession, address: str
) -> None:
    async with scripted(
        {
            "GetStatusInfo": success("GetStatusInfo", NewUptime="1 day"),
            "GetExternalIPAddress": success("GetExternalIPAddress", NewExternalIPAddress=address),
        }
    ) as script:
        snapshot = await UpnpRouter(session, script.url).snapshot()
        assert snapshot.external_address is None
        assert snapshot.connected is None
        assert snapshot.uptime is None


async def test_who_holds_a_port_cannot_be_found_out(session: aiohttp.ClientSession) -> None:
    """Then nothing is opened, rather than over somebody else's."""
    async with scripted(
        {"GetExternalIPAddress": ADDRESS, "GetSpecificPortMappingEntry": fault(606)}
    ) as script:
        with pytest.raises(ProtocolError, match="606"):
            await UpnpRouter(session, script.url).open(forward(), HOUR)
        assert "AddPortMapping" not in [action for action, _ in script.asked]


def _remembers(**changes: str) -> dict[str, Answer]:
    """Make a router that holds what was asked for, but for these changes."""
    held: dict[str, str] = {}

    def add(arguments: dict[str, str]) -> web.Response:
        held.update(arguments | changes)
        return success("AddPortMapping")(arguments)

    def look(arguments: dict[str, str]) -> web.Response:
        found = success("GetSpecificPortMappingEntry", **held) if held else fault(714)
        return found(arguments)

    def delete(arguments: dict[str, str]) -> web.Response:
        held.clear()
        return success("DeletePortMapping")(arguments)

    return {
        "GetExternalIPAddress": ADDRESS,
        "AddPortMapping": add,
        "GetSpecificPortMappingEntry": look,
        "DeletePortMapping": delete,
    }


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"NewInternalClient": CAMERA}, NotMappedError),
        ({"NewInternalPort": "1"}, NotMappedError),
        ({"NewInternalPort": ""}, NotMappedError),
        ({"NewEnabled": "0"}, NotMappedError),
    ],
)
async def test_mapping_that_is_not_what_was_asked_for_is_taken_back(
    session: aiohttp.ClientSession, changes: dict[str, str], error: type[RouterError]
) -> None:
    async with scripted(_remembers(**changes)) as script:
        with pytest.raises(error) as raised:
            await UpnpRouter(session, script.url).open(forward(), HOUR)
        assert raised.value.left == ()
        assert "DeletePortMapping" in [action for action, _ in script.asked]


async def test_mapping_that_turns_out_to_be_another_s_is_left_alone(
    session: aiohttp.ClientSession,
) -> None:
    changes = {"NewInternalClient": CAMERA, "NewPortMappingDescription": "Game console"}
    async with scripted(_remembers(**changes)) as script:
        with pytest.raises(PortConflictError) as raised:
            await UpnpRouter(session, script.url).open(forward(), HOUR)
        assert raised.value.left == ()
        assert "DeletePortMapping" not in [action for action, _ in script.asked]


async def test_placeholder_in_place_of_no_such_entry(session: aiohttp.ClientSession) -> None:
    async with scripted(
        {"GetSpecificPortMappingEntry": success("GetSpecificPortMappingEntry", NewInternalPort="0")}
    ) as script:
        driver = UpnpRouter(session, script.url)
        await driver.close(driver.plan(forward())[0])
        assert [action for action, _ in script.asked] == ["GetSpecificPortMappingEntry"]


async def test_roll_back_that_is_refused_is_told(session: aiohttp.ClientSession) -> None:
    answers = _remembers(NewEnabled="0") | {"DeletePortMapping": fault(606)}
    async with scripted(answers) as script:
        driver = UpnpRouter(session, script.url)
        wanted = forward()
        with pytest.raises(NotMappedError) as raised:
            await driver.open(wanted, HOUR)
        assert raised.value.left == driver.plan(wanted)


async def test_close_that_is_refused(session: aiohttp.ClientSession) -> None:
    answers = _remembers() | {"DeletePortMapping": fault(606)}
    async with scripted(answers) as script:
        driver = UpnpRouter(session, script.url)
        (granted,) = await driver.open(forward(), HOUR)
        with pytest.raises(NotPermittedError) as raised:
            await driver.close(granted)
        assert raised.value.reason is Refusal.REFUSED
        assert raised.value.placeholders["detail"] == "DeletePortMapping: 606"


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        (402, InvalidForwardError, None),
        (501, NotPermittedError, Refusal.REFUSED),
        (606, NotPermittedError, Refusal.REFUSED),
        (715, NotPermittedError, Refusal.REFUSED),
        (716, NotPermittedError, Refusal.REFUSED),
        (718, PortConflictError, None),
        (724, NotPermittedError, Refusal.SAME_PORT_ONLY),
        (726, NotPermittedError, Refusal.ANY_SOURCE_ONLY),
        (727, NotPermittedError, Refusal.ALL_PORTS_ONLY),
        (729, PortConflictError, None),
        (732, NotPermittedError, Refusal.REFUSED),
        ("", NotPermittedError, Refusal.REFUSED),
    ],
)
async def test_every_code_has_its_error(
    session: aiohttp.ClientSession,
    code: int | str,
    error: type[RouterError],
    reason: Refusal | None,
) -> None:
    async with scripted({"GetExternalIPAddress": ADDRESS, "AddPortMapping": fault(code)}) as script:
        with pytest.raises(error) as raised:
            await UpnpRouter(session, script.url).open(forward(), HOUR)
        assert getattr(raised.value, "reason", None) is reason


async def test_what_is_sent_to_the_letter(session: aiohttp.ClientSession) -> None:
    async with scripted(_remembers()) as script:
        wanted = forward(8080, internal=80, host=CAMERA)
        await UpnpRouter(session, script.url).open(wanted, HOUR)
        asked = dict(script.asked)["AddPortMapping"]
        assert asked == {
            "NewRemoteHost": "",
            "NewExternalPort": "8080",
            "NewProtocol": "TCP",
            "NewInternalPort": "80",
            "NewInternalClient": CAMERA,
            "NewEnabled": "1",
            "NewPortMappingDescription": "Camera [ha-pf:camera1]",
            "NewLeaseDuration": "3600",
        }
        headers = script.headers[0]
        assert headers["SOAPAction"] == f'"{script.service.service_type}#GetExternalIPAddress"'
        assert headers["Content-Type"] == 'text/xml; charset="utf-8"'


async def test_wan_that_does_not_answer_comes_last_and_is_an_error_only_if_alone(
    session: aiohttp.ClientSession,
) -> None:
    async with scripted({"GetStatusInfo": reply("garbage")}) as script:
        with pytest.raises(ProtocolError):
            await survey(session, script.url)


async def test_control_port_that_is_closed_and_stays_so(session: aiohttp.ClientSession) -> None:
    async with scripted({}, control_url=f"http://127.0.0.1:{free_port()}/control") as script:
        with pytest.raises(RouterUnreachableError):
            await survey(session, script.url)
        with pytest.raises(RouterUnreachableError):
            await UpnpRouter(session, script.url).snapshot()
