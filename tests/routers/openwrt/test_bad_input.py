"""What a router says that is no answer, and what becomes of the port then."""

import asyncio
import logging
import traceback
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    AuthenticationFailedError,
    CertificateError,
    MissingRightsError,
    NotAppliedError,
    ProtocolError,
    RouterBusyError,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    TooOldError,
    UnsupportedError,
)
from custom_components.port_forward.routers.model import PortRange
from custom_components.port_forward.routers.openwrt import OpenWrtRouter, probe
from lab.certificate import self_signed
from lab.openwrt import (
    DEDICATED,
    LUCI,
    PASSWORD,
    PLAIN,
    READ_ONLY,
    ROOT,
    Device,
    Fault,
    OpenWrt,
    Rights,
)
from lab.virtual_router import free_port

from ..forwards import forward
from .home import HOUR, PATIENCE, TIMEOUT, Home, home_with, settings_of

SHIFTED = PortRange(first=30000, last=30002)
READING = ("uci changes", "uci get", "network.interface dump", "system info")


async def test_a_first_look(session: aiohttp.ClientSession) -> None:
    async with OpenWrt() as router:
        found = await probe(session, settings_of(router))
        assert found.info.unique_id == "02:00:5e:10:00:01"
        assert found.info.name == "OpenWrt"
        assert found.info.model == "Virtual OpenWrt One"
        assert found.info.version == "25.12.1"
        assert found.info.configuration_url == router.url
        assert found.rights.rules
        assert found.rights.time_zone
        assert found.rights.connections
        assert not found.lets_in_anybody


@pytest.mark.parametrize(
    ("rights", "rules", "zone", "connections", "mac"),
    [
        (ROOT, True, True, True, True),
        (LUCI, True, True, False, True),
        (PLAIN, False, False, False, False),
    ],
)
async def test_what_the_rights_allow(
    session: aiohttp.ClientSession,
    rights: Rights,
    *,
    rules: bool,
    zone: bool,
    connections: bool,
    mac: bool,
) -> None:
    async with OpenWrt(rights=rights) as router:
        found = await probe(session, settings_of(router))
        assert found.rights.rules is rules
        assert found.rights.time_zone is zone
        assert found.rights.connections is connections
        assert found.rights.hardware_address is mac
        assert (found.info.unique_id == "openwrt 127.0.0.1") is not mac


async def test_who_it_was_stays(session: aiohttp.ClientSession, home: Home) -> None:
    learned = home.driver.learned
    home.router.uninstall("luci-rpc")
    another = home.another_driver(learned=learned)
    assert (await another.connect()).unique_id == "02:00:5e:10:00:01"
    assert (await home.another_driver().connect()).unique_id == "openwrt 127.0.0.1"


async def test_a_wrong_password(session: aiohttp.ClientSession) -> None:
    async with OpenWrt() as router:
        for wrong in ({"password": "wrong"}, {"username": "nobody"}):
            with pytest.raises(AuthenticationFailedError):
                await probe(session, settings_of(router) | wrong)
        assert router.calls["session login"] == 2


async def test_a_root_without_a_password_lets_in_anybody(session: aiohttp.ClientSession) -> None:
    async with OpenWrt() as router:
        router.set_password("")
        assert (await probe(session, settings_of(router))).lets_in_anybody


async def test_missing_rights_are_named(session: aiohttp.ClientSession) -> None:
    async with OpenWrt(rights=READ_ONLY) as router:
        with pytest.raises(MissingRightsError) as caught:
            await probe(session, settings_of(router))
        assert caught.value.placeholders["detail"] == (
            "ubus uci add, ubus uci set, ubus uci delete, ubus uci apply, ubus uci confirm,"
            " uci firewall write"
        )


async def test_rights_that_are_taken_away_later(home: Home) -> None:
    granted = await home.open(forward())
    home.router.grant(READ_ONLY)
    assert await home.shown(), "looking is still allowed"
    with pytest.raises(MissingRightsError):
        await home.driver.close(granted)
    with pytest.raises(MissingRightsError):
        await home.open(forward(forward_id="other2"))
    home.router.grant(Rights())
    with pytest.raises(MissingRightsError):
        await home.driver.snapshot()
    home.router.grant(DEDICATED)
    await home.driver.close(granted)
    assert home.sections == []


async def test_rights_that_are_taken_away_are_named_at_once(home: Home) -> None:
    """The session of before, whose rights are still remembered, is gone with them."""
    home.router.grant(READ_ONLY)
    with pytest.raises(MissingRightsError, match="uci confirm"):
        await home.open(forward())
    home.router.grant(replace(DEDICATED, uci={"system": ("read",)}))
    with pytest.raises(MissingRightsError, match="uci changes"):
        await home.driver.snapshot()


async def test_a_password_that_is_changed_later(home: Home) -> None:
    home.router.set_password("another")
    assert await home.shown() == {}, "the session goes on"
    home.router.sessions.expire_all()
    home.router.calls.clear()
    with pytest.raises(AuthenticationFailedError):
        await home.driver.snapshot()
    assert home.router.calls["session login"] == 1


async def test_a_session_that_has_expired(home: Home) -> None:
    granted = await home.open(forward())
    await home.router.pass_time(timedelta(hours=2))
    assert await home.shown()
    await home.router.pass_time(timedelta(hours=2))
    await home.driver.close(granted)
    assert home.sections == []


@pytest.mark.parametrize("call", ["uci changes", "uci get", "uci add", "uci apply", "uci confirm"])
async def test_a_session_that_expires_at_the_worst_moment(home: Home, call: str) -> None:
    home.router.fault(Fault.EXPIRE, call)
    granted = await home.open(forward())
    await home.router.pass_time(timedelta(seconds=120))
    assert home.sections == [granted.id]
    assert (await home.shown())[granted.id].enabled


async def test_a_session_that_expires_while_closing(home: Home) -> None:
    for call in ("uci delete", "uci apply", "uci confirm"):
        granted = await home.open(forward())
        home.router.fault(Fault.EXPIRE, call)
        await home.driver.close(granted)
        await home.router.pass_time(timedelta(seconds=120))
        assert home.sections == [], call


@pytest.mark.parametrize("call", READING)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.HTML, ProtocolError),
        (Fault.GARBAGE, ProtocolError),
        (Fault.HTTP_500, ProtocolError),
        (Fault.TRUNCATED, ProtocolError),
        (Fault.FAIL, ProtocolError),
        (Fault.HUGE, ProtocolError),
        (Fault.SLOW, RouterTimeoutError),
    ],
)
async def test_no_answer_to_a_look(
    session: aiohttp.ClientSession, call: str, fault: Fault, error: type[RouterError]
) -> None:
    async with home_with(session, timeout=TIMEOUT if fault is Fault.SLOW else 10) as home:
        home.router.fault(fault, call)
        with pytest.raises(error):
            await home.driver.snapshot()
        await home.driver.snapshot()


@pytest.mark.parametrize(
    "fault", [Fault.HTML, Fault.GARBAGE, Fault.TRUNCATED, Fault.FAIL, Fault.IGNORE]
)
async def test_a_look_without_the_rules_has_no_counters(home: Home, fault: Fault) -> None:
    granted = await home.open(forward())
    home.router.fault(fault, "file exec")
    assert (await home.shown())[granted.id].hits is None
    assert (await home.shown())[granted.id].hits == 0


async def test_a_connection_that_broke_is_made_anew_for_a_look(home: Home) -> None:
    for call in READING:
        home.router.fault(Fault.DROP_BEFORE, call)
        await home.driver.snapshot()
    home.router.fault(Fault.DROP_BEFORE, times=None)
    with pytest.raises(RouterUnreachableError):
        await home.driver.snapshot()


@pytest.mark.parametrize("call", ["uci add", "uci apply"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault.HTML,
        Fault.GARBAGE,
        Fault.HTTP_500,
        Fault.TRUNCATED,
        Fault.FAIL,
        Fault.DROP_BEFORE,
        Fault.DROP_AFTER,
        Fault.SLOW,
    ],
)
async def test_no_answer_to_an_opening_leaves_all_of_it_or_nothing(
    session: aiohttp.ClientSession, call: str, fault: Fault
) -> None:
    async with home_with(session, timeout=TIMEOUT if fault is Fault.SLOW else 10) as home:
        wanted = forward()
        home.router.fault(fault, call)
        (opened,) = await asyncio.gather(home.driver.open(wanted, HOUR), return_exceptions=True)
        await home.router.pass_time(timedelta(seconds=120))
        if isinstance(opened, RouterError):
            assert home.sections == []
            assert set(opened.left) <= set(home.driver.plan(wanted))
        else:
            assert not isinstance(opened, BaseException)
            assert home.sections == [opened[0].id]
        home.router.clear_faults()
        if isinstance(opened, ProtocolError):
            held = [home.router.sessions.find(key) for key in home.router.sessions.ids]
            deltas = [delta for session in held if session for delta in session.deltas.values()]
            assert not any(delta.changes for delta in deltas), "nothing half-done stays"
        # Nothing half-done comes back with the next one.
        other = await home.driver.open(forward(forward_id="other2"), HOUR)
        assert set(home.sections) <= {"ha_pf_camera1_0", other[0].id}
        assert (await home.driver.open(wanted, HOUR))[0].enabled


async def test_half_an_opening_that_may_not_be_reverted_is_left_behind(
    session: aiohttp.ClientSession,
) -> None:
    """Stock LuCI lets nobody revert; the next change is made in another session."""
    async with home_with(session, rights=LUCI) as home:
        shifted = forward(PortRange(first=20000, last=20002), internal=SHIFTED)
        for fault in (Fault.FAIL, Fault.DROP_AFTER, Fault.HTML):
            home.router.fault(fault, "uci add", skip=1)
            with pytest.raises(RouterError):
                await home.driver.open(shifted, HOUR)
            assert home.sections == []
            other = await home.open(forward(forward_id="other2"))
            assert home.sections == [other.id]
            await home.driver.close(other)


@pytest.mark.parametrize(
    "fault", [Fault.HTML, Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.SLOW, Fault.TRUNCATED]
)
async def test_a_confirmation_that_is_lost_once(
    session: aiohttp.ClientSession, fault: Fault
) -> None:
    async with home_with(session, timeout=TIMEOUT if fault is Fault.SLOW else 10) as home:
        home.router.fault(fault, "uci confirm", skip=1)
        granted = await home.open(forward())
        await home.router.pass_time(timedelta(seconds=120))
        assert home.sections == [granted.id]
        home.router.fault(fault, "uci confirm", skip=1)
        await home.driver.close(granted)
        await home.router.pass_time(timedelta(seconds=120))
        assert home.sections == []


async def test_an_apply_that_never_confirms(home: Home) -> None:
    """It says yes to the confirmation, and takes all back a little later."""
    home.router.uci.ignores_confirm = True
    wanted = forward()
    with pytest.raises(NotAppliedError) as caught:
        await home.driver.open(wanted, HOUR)
    assert caught.value.left == ()
    assert home.sections == []
    await home.router.pass_time(timedelta(seconds=120))
    assert home.sections == []
    home.router.uci.ignores_confirm = False
    assert (await home.driver.open(wanted, HOUR))[0].enabled


async def test_a_close_that_is_never_confirmed_is_none(home: Home) -> None:
    granted = await home.open(forward())
    home.router.fault(Fault.DROP_BEFORE, "uci confirm", skip=1, times=None)
    with pytest.raises(RouterUnreachableError):
        await home.driver.close(granted)
    await home.router.pass_time(timedelta(seconds=120))
    assert home.sections == [granted.id], "the router has taken it back"
    home.router.clear_faults()
    assert (await home.shown())[granted.id].enabled
    await home.driver.close(granted)
    assert home.sections == []


async def test_home_assistant_dies_before_the_confirmation(home: Home) -> None:
    """The port is closed again by the router, and the next start finds nothing of it."""
    wanted = forward()
    home.router.fault(Fault.SLOW, "uci apply", delay=60)
    before = home.another_driver(patience=30)
    opening = asyncio.create_task(before.open(wanted, HOUR))
    while not home.router.rules:  # noqa: ASYNC110  the router has no event for it
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    again = home.another_driver(learned=home.driver.learned)
    with pytest.raises(RouterBusyError):
        await again.connect()
    await home.router.pass_time(timedelta(seconds=31))
    await again.connect()
    assert (await again.snapshot()).mappings == ()
    (granted,) = await again.open(wanted, HOUR)
    assert granted.enabled
    # What came back to the old session goes nowhere.
    assert [row.enabled for row in (await before.snapshot()).mappings] == [True]
    await again.close(granted)
    assert home.sections == []


async def test_a_router_without_what_is_needed(session: aiohttp.ClientSession) -> None:
    async with OpenWrt(has_ubus=False) as router:
        with pytest.raises(UnsupportedError) as caught:
            await probe(session, settings_of(router))
        assert "uhttpd-mod-ubus" in str(caught.value)
    async with OpenWrt() as router:
        router.uninstall("uci")
        with pytest.raises(UnsupportedError):
            await probe(session, settings_of(router))
    async with OpenWrt(rights=ROOT) as router:
        settings = settings_of(router)
        driver = OpenWrtRouter(session, settings, patience=PATIENCE)
        await driver.connect()
        router.uninstall("uci", "apply")
        with pytest.raises(TooOldError):
            await driver.open(forward(), HOUR)
        assert [section.name for section in router.committed] == []


@pytest.mark.parametrize(
    ("version", "ok"), [("21.02.7", False), ("22.03.0", True), ("SNAPSHOT", True)]
)
async def test_versions(session: aiohttp.ClientSession, version: str, *, ok: bool) -> None:
    async with OpenWrt(device=Device(version=version)) as router:
        if ok:
            assert (await probe(session, settings_of(router))).info.version == version
        else:
            with pytest.raises(TooOldError) as caught:
                await probe(session, settings_of(router))
            assert caught.value.placeholders["needed"] == "OpenWrt 22.03"
            assert caught.value.placeholders["version"] == version


async def test_nobody_is_there(session: aiohttp.ClientSession) -> None:
    settings = {"url": f"http://127.0.0.1:{free_port()}", "username": "a", "password": "b"}
    with pytest.raises(RouterUnreachableError):
        await probe(session, settings)


async def test_tls(session: aiohttp.ClientSession) -> None:
    certificate = self_signed("OpenWrt")
    async with home_with(session, certificate=certificate) as home:
        assert await home.shown() == {}
        settings = settings_of(home.router)
        with pytest.raises(CertificateError):
            await probe(session, settings)
        with pytest.raises(CertificateError):
            await probe(session, settings | {"fingerprint": "00" * 32})
        shouted = ":".join(certificate.fingerprint[i : i + 2].upper() for i in range(0, 64, 2))
        assert (await probe(session, settings | {"fingerprint": shouted})).info.model


async def test_no_secret_is_ever_told(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the password nor a session shows in logs, errors or what caused them."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    sessions: set[str] = set(home.router.sessions.ids)
    faults = set(Fault) - {Fault.SLOW, Fault.HUGE}
    pairs = [(call, fault) for fault in faults for call in ("session login", "uci add")]
    for call, fault in (*pairs, ("uci confirm", Fault.HTML)):
        home.router.fault(fault, call)
        home.router.sessions.expire_all()
        (opened,) = await asyncio.gather(home.driver.open(forward(), HOUR), return_exceptions=True)
        if isinstance(opened, BaseException):
            told += traceback.format_exception(opened)
            told.append(repr(vars(opened)))
        sessions |= home.router.sessions.ids
        home.router.clear_faults()
        await home.router.pass_time(timedelta(seconds=2))
    assert len(told) > 20
    assert len(sessions) > 10
    written = "\n".join([*told, caplog.text, repr(home.driver), repr(home.driver.learned)])
    assert PASSWORD not in written
    assert not [session for session in sessions if session in written]
