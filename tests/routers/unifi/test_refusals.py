"""Bad input: keys, passwords, lock-outs, second factors, rights, and answers without sense."""

import asyncio
import logging
from datetime import timedelta

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    AuthenticationFailedError,
    CertificateError,
    LockedOutError,
    MissingRightsError,
    ProtocolError,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    SecondFactorError,
    TooOldError,
    UnsupportedError,
)
from custom_components.port_forward.routers.router import Router
from custom_components.port_forward.routers.rule_texts import rule_id_of
from custom_components.port_forward.routers.tls import fingerprint_of
from custom_components.port_forward.routers.unifi import from_settings
from lab.certificate import self_signed
from lab.mikrotik import MikrotikRouter
from lab.unifi import Account, ApiKey, Fault, Habit, UnifiController
from lab.unifi.api import FORWARDS

from ..forwards import forward
from ..patience import TIMEOUT, patience
from .home import HOUR, home_with, settings_of, theirs


async def test_who_it_is(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        info = await home.driver.connect()
        assert info.unique_id == home.controller.sites[0].id
        assert (info.name, info.version) == ("Dream Machine", "9.5.21")
        assert (info.manufacturer, info.model) == ("Ubiquiti", "UniFi Network")
        assert info.configuration_url == home.controller.url
        other = await home.another_driver(wan="wan2").connect()
        assert other.unique_id == f"{info.unique_id}-wan2"


async def test_sites_and_wans_to_choose_from(session: aiohttp.ClientSession) -> None:
    async with home_with(session, sites=("default", "cabin"), wans=3) as home:
        sites = await home.driver.sites()
        assert [(s.name, s.title, s.role) for s in sites] == [
            ("default", "Default", "admin"),
            ("cabin", "Cabin", "admin"),
        ]
        wans = await home.driver.wans()
        assert [(w.interface, w.title) for w in wans] == [
            ("wan", "Internet 1"),
            ("wan2", "Internet 2"),
            ("wan3", "Internet 3"),
        ]
        cabin = home.another_driver(site="cabin")
        assert (await cabin.connect()).unique_id == sites[1].id
        await cabin.open(forward(), HOUR)
        assert not home.controller.forwards
        assert len(home.controller.sites[1].forwards) == 1


async def test_a_site_that_is_gone(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        with pytest.raises(UnsupportedError, match="the site is gone"):
            await home.another_driver(site="cabin").connect()
        with pytest.raises(ProtocolError, match=r"api\.err\.NoSiteContext"):
            await home.another_driver(site="cabin").snapshot()


async def test_a_wrong_key(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        driver = home.another_driver(api_key="wrong")
        for call in (driver.connect(), driver.snapshot()):
            with pytest.raises(AuthenticationFailedError) as error:
                await call
            assert error.value.placeholders == {"host": "127.0.0.1"}
        assert home.controller.door.logins == 0


@pytest.mark.parametrize("is_os", [True, False])
async def test_a_local_account(session: aiohttp.ClientSession, *, is_os: bool) -> None:
    async with home_with(session, is_os=is_os) as home:
        driver = home.with_password()
        await driver.connect()
        (granted,) = await driver.open(forward(), HOUR)
        assert (await driver.snapshot()).find(granted)
        await driver.close(granted)
        assert home.controller.door.logins == 1
        assert driver.learned["unifi_os"] == ("yes" if is_os else "no")


async def test_the_csrf_token_is_followed(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Habit.CSRF_ROTATES) as home:
        driver = home.with_password()
        for forward_id in ("one", "two"):
            (granted,) = await driver.open(forward(forward_id=forward_id), HOUR)
            await driver.close(granted)
        assert home.controller.door.logins == 1


async def test_a_csrf_token_that_was_lost(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        driver = home.with_password()
        (granted,) = await driver.open(forward(), HOUR)
        for session_ in home.controller.door._sessions.values():
            session_.csrf = "another"
        await driver.close(granted)
        assert not home.controller.forwards
        assert home.controller.door.logins == 2


async def test_a_session_that_expired(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        driver = home.with_password()
        (granted,) = await driver.open(forward(), HOUR)
        home.controller.door.expire_sessions()
        assert (await driver.snapshot()).find(granted)
        home.controller.door.expire_sessions()
        await driver.close(granted)
        assert not home.controller.forwards
        assert home.controller.door.logins == 3


@pytest.mark.parametrize("habits", [(), (Habit.LOGIN_401,)])
@pytest.mark.parametrize("is_os", [True, False])
async def test_a_wrong_password_is_tried_once(
    session: aiohttp.ClientSession, habits: tuple[Habit, ...], *, is_os: bool
) -> None:
    """Five wrong ones would lock out everybody, the user too."""
    async with home_with(session, *habits, is_os=is_os) as home:
        driver = home.with_password(password="wrong")
        for _ in range(10):
            with pytest.raises(AuthenticationFailedError) as error:
                await driver.snapshot()
            assert type(error.value) is AuthenticationFailedError
        assert home.controller.door.logins == 1
        home.clock.now += timedelta(minutes=16)
        with pytest.raises(AuthenticationFailedError):
            await driver.snapshot()
        assert home.controller.door.logins == 2


async def test_locked_out(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        driver = home.with_password()
        await driver.connect()
        home.controller.door.failures = 5
        home.controller.door.expire_sessions()
        for _ in range(3):
            with pytest.raises(LockedOutError) as error:
                await driver.snapshot()
            assert error.value.placeholders == {"host": "127.0.0.1"}
        assert home.controller.door.logins == 2
        # The credentials were right: once it is over, all goes on.
        home.controller.door.unlock()
        home.clock.now += timedelta(minutes=16)
        await driver.snapshot()


async def test_a_second_factor(session: aiohttp.ClientSession) -> None:
    async with home_with(session, accounts=[Account(needs_code=True)]) as home:
        driver = home.with_password()
        for _ in range(3):
            with pytest.raises(SecondFactorError):
                await driver.connect()
        assert home.controller.door.logins == 1


async def test_the_password_was_changed_and_is_changed_here_too(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        driver = home.with_password()
        (granted,) = await driver.open(forward(), HOUR)
        home.controller.door.accounts[0].password = "new"
        home.controller.door.expire_sessions()
        with pytest.raises(AuthenticationFailedError):
            await driver.close(granted)
        await home.with_password(password="new").close(granted)
        assert not home.controller.forwards


@pytest.mark.parametrize("method", ["key", "password"])
async def test_an_account_that_may_only_look(session: aiohttp.ClientSession, method: str) -> None:
    async with home_with(
        session, accounts=[Account(role="readonly")], keys=[ApiKey(role="readonly")]
    ) as home:
        driver = home.driver if method == "key" else home.with_password()
        for call in (driver.connect(), driver.check_rights(), driver.open(forward(), HOUR)):
            with pytest.raises(MissingRightsError) as error:
                await call
            assert error.value.placeholders == {
                "host": "127.0.0.1",
                "detail": "full management of the Network application",
            }
        assert not home.controller.forwards
        assert home.controller.door.logins == (0 if method == "key" else 1)


async def test_rights_are_checked_without_a_trace(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.controller.add(**theirs(forward()))
        before = home.controller.forwards
        await home.driver.connect()
        assert home.writes() == ["PUT"]
        assert home.controller.forwards == before
        home.controller.api.log.clear()
        await home.another_driver(learned=home.driver.learned).connect()
        assert not home.writes()


async def test_rights_revoked_later(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        before = home.controller.forwards
        home.controller.door.keys[0].role = "readonly"
        with pytest.raises(MissingRightsError):
            await home.driver.open(forward(forward_id="other"), HOUR)
        with pytest.raises(MissingRightsError):
            await home.driver.close(granted)
        home.controller.door.keys.clear()
        with pytest.raises(AuthenticationFailedError):
            await home.driver.close(granted)
        assert home.controller.forwards == before


async def test_rights_revoked_in_the_middle(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()

        async def revoke() -> None:
            while not home.controller.forwards:  # noqa: ASYNC110  no event for it
                await asyncio.sleep(0)
            home.controller.door.keys[0].role = "readonly"

        revoking = asyncio.ensure_future(revoke())
        with pytest.raises(MissingRightsError) as error:
            await home.driver.open(wanted, HOUR)
        await revoking
        assert error.value.left == home.driver.plan(wanted)
        assert home.controller.forwards[0]["enabled"] is False


@pytest.mark.parametrize("version", ["8.6.9", "7.5", ""])
async def test_software_too_old(session: aiohttp.ClientSession, version: str) -> None:
    async with home_with(session, version=version) as home:
        with pytest.raises(TooOldError) as error:
            await home.driver.connect()
        assert error.value.placeholders == {
            "host": "127.0.0.1",
            "version": version or "?",
            "needed": "UniFi Network 9.0",
        }


async def test_certificates(session: aiohttp.ClientSession) -> None:
    certificate, other = self_signed("unifi"), self_signed("unifi")
    async with UnifiController(tls=certificate.context) as controller:
        fingerprint = await fingerprint_of("127.0.0.1", controller.port)

        def driver(**more: str) -> Router:
            return from_settings(session, settings_of(controller, **more), learned={})

        await driver(fingerprint=fingerprint).connect()
        controller.requests.clear()
        for untrusted in (driver(), driver(fingerprint=other.fingerprint)):
            with pytest.raises(CertificateError):
                await untrusted.connect()
        assert not controller.requests, "it never saw the key"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.HTML, ProtocolError),
        (Fault.ERROR_INSIDE, ProtocolError),
        (Fault.SERVER_ERROR, ProtocolError),
        (Fault.WRONG_SHAPE, ProtocolError),
        (Fault.HALF_BODY, ProtocolError),
        (Fault.DROP_BEFORE, RouterUnreachableError),
        (Fault.SLOW, RouterTimeoutError),
        (Fault.STUCK, RouterTimeoutError),
    ],
)
async def test_answers_without_sense(
    session: aiohttp.ClientSession, fault: Fault, error: type[RouterError]
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        driver = home.another_driver(timeout=patience(fault))
        home.controller.fault(fault, times=None)
        for call in (driver.connect(), driver.snapshot(), driver.close(granted)):
            with pytest.raises(error):
                await call
        home.controller.api.faults.clear()
        assert (await home.another_driver().snapshot()).find(granted)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(
    "request_name", [f"{method} {FORWARDS}" for method in ("GET", "POST", "PUT")]
)
async def test_whatever_goes_wrong_in_an_opening_nothing_stays_unknown(
    session: aiohttp.ClientSession, fault: Fault, request_name: str
) -> None:
    async with home_with(session, timeout=patience(fault), learned={"unifi_os": "yes"}) as home:
        wanted = forward()
        home.controller.fault(fault, request_name)
        try:
            granted = await home.driver.open(wanted, HOUR)
        except RouterError as error:
            left = error.left
            assert not home.controller.forwards or left == home.driver.plan(wanted)
        else:
            left = granted
            assert home.controller.forwards[0]["enabled"] is True
            assert fault in (Fault.DROP_BEFORE, Fault.DROP_AFTER)
        for mapping in left:
            await home.driver.close(mapping)
        assert not home.controller.forwards


@pytest.mark.parametrize("fault", list(Fault))
async def test_whatever_goes_wrong_in_mending_nothing_stays_unknown(
    session: aiohttp.ClientSession, fault: Fault
) -> None:
    """A crash has left the document; the ledger that knew it is lost."""
    async with home_with(session, timeout=patience(fault)) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.controller.change(rule_id_of(granted), enabled=False)
        home.controller.fault(fault, f"PUT {FORWARDS}")
        try:
            (again,) = await home.driver.open(wanted, HOUR)
        except RouterError as error:
            left = error.left
        else:
            left = (again,)
        assert [mapping.key for mapping in left] == [granted.key]


async def test_a_forward_that_may_yet_come_is_left_to_the_ledger(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        wanted = forward()
        home.controller.fault(Fault.STUCK, f"POST {FORWARDS}")
        with pytest.raises(RouterTimeoutError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == home.driver.plan(wanted)
        assert not home.controller.forwards


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.HTML, ProtocolError),
        (Fault.SERVER_ERROR, ProtocolError),
        (Fault.DROP_BEFORE, RouterUnreachableError),
    ],
)
async def test_logging_in_may_go_wrong_without_being_refused(
    session: aiohttp.ClientSession, fault: Fault, error: type[RouterError]
) -> None:
    async with home_with(session) as home:
        driver = home.with_password()
        home.controller.fault(fault, "login")
        with pytest.raises(error):
            await driver.connect()
        await driver.connect()


async def test_what_answers_is_something_else(session: aiohttp.ClientSession) -> None:
    async with MikrotikRouter() as router:
        driver = from_settings(session, {"url": router.url, "api_key": "key"}, learned={})
        with pytest.raises(UnsupportedError, match="no UniFi Network application"):
            await driver.connect()


async def test_a_console_that_is_starting_is_not_taken_for_an_old_one(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        home.controller.fault(Fault.SERVER_ERROR, "GET /")
        with pytest.raises(ProtocolError, match="HTTP 500"):
            await home.driver.snapshot()
        assert not home.driver.learned
        await home.driver.snapshot()
        assert home.driver.learned == {"unifi_os": "yes"}


async def test_nobody_there(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        driver = home.driver
    with pytest.raises(RouterUnreachableError):
        await driver.connect()


async def test_secrets_stay_secret(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key, password = "s3cret-k3y", "s3cret-passw0rd"
    said: list[str] = []
    async with home_with(
        session, accounts=[Account(password=password)], keys=[ApiKey(value=key)], timeout=TIMEOUT
    ) as home:
        await home.driver.connect()
        drivers = [home.driver, home.with_password()]
        await drivers[1].connect()
        tokens = list(home.controller.door._sessions)
        tokens += [held.csrf for held in home.controller.door._sessions.values()]
        for fault in Fault:
            home.controller.api.faults.clear()
            home.controller.fault(fault, times=None)
            for driver in (
                drivers[0],
                home.another_driver(
                    api_key="", username="home-assistant", password=password, timeout=TIMEOUT
                ),
            ):
                for call in (driver.connect(), driver.open(forward(), HOUR)):
                    with pytest.raises(RouterError) as error:
                        await call
                    cause: BaseException | None = error.value
                    while cause is not None:
                        said.append(f"{cause} {cause!r}")
                        cause = cause.__cause__
        home.controller.api.faults.clear()
        for driver in drivers:
            said += [repr(driver), str(driver.learned), str(await driver.snapshot())]
    told = "\n".join([*said, caplog.text])
    assert "127.0.0.1" in told
    assert len(tokens) == 2
    for secret in (key, password, *tokens):
        assert secret not in told
