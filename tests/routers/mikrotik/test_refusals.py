"""Bad input: credentials, rights, old software, other certificates, and answers without sense."""

import asyncio
import logging

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    AuthenticationFailedError,
    CertificateError,
    MissingRightsError,
    ProtocolError,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    TooOldError,
    UnsupportedError,
)
from custom_components.port_forward.routers.mikrotik import from_settings
from custom_components.port_forward.routers.router import Router
from custom_components.port_forward.routers.tls import fingerprint_of
from lab.certificate import self_signed
from lab.mikrotik import ALL, Fault, Habit, MikrotikRouter, User

from ..forwards import forward
from ..patience import TIMEOUT, patience
from .home import BOTH, HOUR, LIST, NAT, home_with, settings_of


async def test_who_it_is(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        info = await home.driver.connect()
        assert info.unique_id == info.serial_number == "HGQ09R6RW4E"
        assert (info.manufacturer, info.model) == ("MikroTik", "hAP ax^2")
        assert (info.name, info.version) == ("MikroTik", "7.24")
        assert info.configuration_url == home.router.url


@pytest.mark.parametrize("habits", [(), (Habit.NO_BOARD_MENU,)])
async def test_who_it_is_without_a_board(
    session: aiohttp.ClientSession, habits: tuple[Habit, ...]
) -> None:
    async with home_with(session, *habits, serial_number=None) as home:
        info = await home.driver.connect()
        assert (info.unique_id, info.serial_number) == ("Xk2HkLbXdNB", None)


async def test_rights_are_checked_without_a_trace(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.connect()
        assert home.writes()
        assert not home.admitted()
        assert not home.rules()
        assert home.driver.learned == {"any_source": "whole", "refresh": "patch", "leases": "kept"}
        home.router.rest.log.clear()
        await home.another_driver(learned=home.driver.learned).connect()
        assert not home.writes()


@pytest.mark.parametrize("habit", [Habit.NO_WHOLE, Habit.WHOLE_MANGLED])
async def test_what_it_takes_is_known_before_the_first_opening(
    session: aiohttp.ClientSession, habit: Habit
) -> None:
    async with home_with(session, habit, Habit.NO_PATCH) as home:
        await home.driver.check_rights()
        assert not home.admitted()
        assert home.driver.learned == {
            "any_source": "halves",
            "refresh": "replace",
            "leases": "kept",
        }


@pytest.mark.parametrize(
    "user", [User(password="wrong"), User(name="nobody"), User(name="", password="")]
)
async def test_wrong_credentials(session: aiohttp.ClientSession, user: User) -> None:
    async with home_with(session) as home:
        driver = home.another_driver(username=user.name, password=user.password)
        with pytest.raises(AuthenticationFailedError) as error:
            await driver.connect()
        assert error.value.placeholders == {"host": "127.0.0.1"}


@pytest.mark.parametrize("missing", ["api", "read", "write"])
async def test_missing_policies(session: aiohttp.ClientSession, missing: str) -> None:
    async with home_with(session, users=[User(policies=ALL - {missing})]) as home:
        with pytest.raises(MissingRightsError) as error:
            await home.driver.connect()
        assert error.value.placeholders == {"host": "127.0.0.1", "detail": missing}


async def test_without_the_policy_for_rest_it_answers_as_to_a_wrong_password(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, users=[User(policies=ALL - {"rest-api"})]) as home:
        with pytest.raises(AuthenticationFailedError):
            await home.driver.connect()


@pytest.mark.parametrize(
    ("policies", "error"),
    [(ALL - {"write"}, MissingRightsError), (frozenset(), AuthenticationFailedError)],
)
async def test_rights_revoked_later(
    session: aiohttp.ClientSession, policies: frozenset[str], error: type[RouterError]
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        before = home.rules()
        home.router.users[0].policies = policies
        with pytest.raises(error):
            await home.driver.open(forward(forward_id="other"), HOUR)
        with pytest.raises(error):
            await home.driver.close(granted)
        assert home.rules() == before
        home.router.users[0].policies = ALL
        await home.driver.close(granted)
        assert not home.rules()


async def test_rights_revoked_in_the_middle(session: aiohttp.ClientSession) -> None:
    """The rule stands, nobody is let in, and the ledger has to know."""
    async with home_with(session) as home:
        wanted = forward()

        async def revoke() -> None:
            while not home.rules():  # noqa: ASYNC110  the router has no event for it
                await asyncio.sleep(0)
            home.router.users[0].policies = ALL - {"write"}

        revoking = asyncio.ensure_future(revoke())
        with pytest.raises(MissingRightsError) as error:
            await home.driver.open(wanted, HOUR)
        await revoking
        assert error.value.left == home.driver.plan(wanted)
        assert not home.admitted()
        home.router.users[0].policies = ALL
        for mapping in error.value.left:
            await home.driver.close(mapping)
        assert not home.rules()


@pytest.mark.parametrize("version", ["7.8 (stable)", "7.1beta4", ""])
async def test_software_too_old(session: aiohttp.ClientSession, version: str) -> None:
    async with home_with(session, version=version) as home:
        with pytest.raises(TooOldError) as error:
            await home.driver.connect()
        assert error.value.placeholders == {
            "host": "127.0.0.1",
            "version": version.partition(" ")[0] or "?",
            "needed": "RouterOS 7.9",
        }


@pytest.mark.parametrize("version", ["7.9 (stable)", "7.10rc2 (testing)", "8.0"])
async def test_software_new_enough(session: aiohttp.ClientSession, version: str) -> None:
    async with home_with(session, version=version) as home:
        assert (await home.driver.connect()).version == version.partition(" ")[0]


async def test_software_without_rest(session: aiohttp.ClientSession) -> None:
    async with home_with(session, version="6.49.17 (long-term)") as home:
        with pytest.raises(UnsupportedError, match="RouterOS has from version"):
            await home.driver.connect()


async def test_certificates(session: aiohttp.ClientSession) -> None:
    certificate, other = self_signed("router"), self_signed("router")
    async with MikrotikRouter(tls=certificate.context) as router:
        fingerprint = await fingerprint_of("127.0.0.1", router.port)
        assert fingerprint == certificate.fingerprint

        def driver(**more: str) -> Router:
            return from_settings(session, settings_of(router, **more), learned={})

        await driver(fingerprint=fingerprint).connect()
        for untrusted in (driver(), driver(fingerprint=other.fingerprint)):
            router.rest.log.clear()
            with pytest.raises(CertificateError) as error:
                await untrusted.connect()
            assert error.value.placeholders == {"host": "127.0.0.1"}
            assert not router.rest.log, "it never saw the password"


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
        home.router.fault(fault, times=None)
        for call in (driver.connect(), driver.snapshot(), driver.close(granted)):
            with pytest.raises(error):
                await call
        home.router.rest.faults.clear()
        assert (await home.another_driver().snapshot()).find(granted)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("request_name", [f"GET {NAT}", f"POST {NAT}/add", f"POST {LIST}/add"])
async def test_whatever_goes_wrong_in_an_opening_nothing_stays_unknown(
    session: aiohttp.ClientSession, fault: Fault, request_name: str
) -> None:
    async with home_with(session, timeout=patience(fault)) as home:
        wanted = forward()
        await home.driver.connect()
        home.router.fault(fault, request_name)
        try:
            granted = await home.driver.open(wanted, HOUR)
        except RouterError as error:
            left = error.left
            assert home.rules() == [] or left == home.driver.plan(wanted)
        else:
            left = granted
            assert len(home.rules()) == 1
            assert fault in (Fault.DROP_BEFORE, Fault.DROP_AFTER) or request_name.startswith(
                f"POST {LIST}"
            ), "a refused address is asked for in another way"
        for mapping in left:
            await home.driver.close(mapping)
        assert not home.rules()
        assert not home.admitted()


async def test_a_rule_that_may_yet_come_is_left_to_the_ledger(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        wanted = forward()
        await home.driver.connect()
        home.router.fault(Fault.STUCK, f"POST {NAT}/add")
        with pytest.raises(RouterTimeoutError) as error:
            await home.driver.open(wanted, HOUR)
        assert not home.rules()
        assert error.value.left == home.driver.plan(wanted)


async def test_what_cannot_be_taken_back_is_left_to_the_ledger(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(protocols=BOTH)
        await home.driver.connect()
        home.router.fault(Fault.SERVER_ERROR, f"POST {LIST}/add", times=None)
        home.router.fault(Fault.SERVER_ERROR, f"DELETE {NAT}", times=None)
        with pytest.raises(ProtocolError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == home.driver.plan(wanted)
        assert len(home.rules()) == 2


async def test_nobody_there(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        driver = home.driver
    with pytest.raises(RouterUnreachableError):
        await driver.connect()


async def test_one_request_at_a_time(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await asyncio.gather(*(home.driver.snapshot() for _ in range(3)))
        assert home.router.requests[f"GET {NAT}"] == 3


async def test_secrets_stay_secret(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cret-passw0rd"
    said: list[str] = []
    async with home_with(session, users=[User(password=secret)], timeout=TIMEOUT) as home:
        await home.driver.connect()
        for fault in Fault:
            home.router.rest.faults.clear()
            home.router.fault(fault, times=None)
            for call in (home.driver.connect(), home.driver.open(forward(), HOUR)):
                with pytest.raises(RouterError) as error:
                    await call
                causes: list[BaseException | None] = [error.value]
                while causes[-1] is not None:
                    causes.append(causes[-1].__cause__)
                said += [f"{cause} {cause!r}" for cause in causes]
        home.router.rest.faults.clear()
        said += [repr(home.driver), str(home.driver.learned), str(await home.driver.snapshot())]
    told = "\n".join([*said, caplog.text])
    encoded = aiohttp.encode_basic_auth("home-assistant", secret).removeprefix("Basic ")
    assert "127.0.0.1" in told
    assert secret not in told
    assert encoded not in told
