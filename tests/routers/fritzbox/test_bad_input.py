"""What else a FRITZ!Box, its user or the network may do to us."""

from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    AuthenticationFailedError,
    CertificateError,
    NotClosedError,
    NotMappedError,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    UnsupportedError,
)
from custom_components.port_forward.routers.fritzbox import FritzBoxRouter
from custom_components.port_forward.routers.fritzbox import transport as transport_module
from custom_components.port_forward.routers.upnp.soap import UpnpFault
from lab.fritzbox import PASSWORD, Fault

from ..forwards import forward
from ..patience import TIMEOUT
from .home import HOUR, Home, home_with

type Do = Callable[[FritzBoxRouter], Awaitable[object]]

EVERYTHING: dict[str, Do] = {
    "connect": lambda driver: driver.connect(),
    "snapshot": lambda driver: driver.snapshot(),
    "open": lambda driver: driver.open(forward(8443), HOUR),
    "close": lambda driver: driver.close(driver.plan(forward(8443))[0]),
}
everything = pytest.mark.parametrize("do", EVERYTHING.values(), ids=EVERYTHING)


@everything
@pytest.mark.parametrize(
    "wrong",
    [{"username": "wrong"}, {"password": "wrong"}, {"username": "with:colon"}, {"username": ""}],
)
async def test_wrong_user_or_password(home: Home, do: Do, wrong: dict[str, str]) -> None:
    with pytest.raises(AuthenticationFailedError) as raised:
        await do(home.another_driver(wrong))
    assert raised.value.placeholders == {"host": "127.0.0.1"}


async def test_a_refused_login_is_not_tried_until_the_box_locks(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = home.another_driver({"password": "wrong"})
    for _ in range(5):
        with pytest.raises(AuthenticationFailedError):
            await driver.snapshot()
    assert not home.box.digest.locked
    monkeypatch.setattr(transport_module, "LOGIN_PAUSE", 0.0)
    for _ in range(5):
        with pytest.raises(AuthenticationFailedError):
            await driver.snapshot()
    assert home.box.digest.locked


@everything
async def test_the_password_is_changed_later(home: Home, do: Do) -> None:
    await home.driver.connect()
    home.box.passwords["homeassistant"] = "another"
    with pytest.raises(AuthenticationFailedError):
        await do(home.driver)


async def test_the_challenge_is_forgotten_by_a_restart(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    await home.box.stop()
    await home.box.start()
    await home.driver.close(granted)
    assert not home.box.sharing.rows


async def test_a_restart_shows_in_the_uptime(home: Home) -> None:
    home.box.connection.up_since -= 3600
    before = await home.driver.snapshot()
    await home.box.stop()
    await home.box.start()
    assert (await home.driver.snapshot()).restarted_since(before)


async def test_access_for_applications_is_off(home: Home) -> None:
    home.box.tr064 = False
    with pytest.raises(UnsupportedError, match="HTTP 404"):
        await home.driver.connect()


async def test_a_connection_that_is_of_no_known_kind(home: Home) -> None:
    home.box._default = "WANFoo"  # type: ignore[assignment]  # what no box says
    with pytest.raises(UnsupportedError, match="no WAN connection service WANFoo"):
        await home.driver.connect()


@everything
async def test_another_certificate(home: Home, do: Do) -> None:
    await home.driver.connect()
    await home.box.change_certificate()
    with pytest.raises(CertificateError):
        await do(home.driver)


@everything
async def test_a_certificate_that_nobody_vouches_for(home: Home, do: Do) -> None:
    with pytest.raises(CertificateError):
        await do(home.another_driver({"fingerprint": ""}))
    assert not home.box.requests


@everything
@pytest.mark.parametrize("fault", [Fault.HTML, Fault.ERROR_INSIDE, Fault.GARBAGE])
async def test_answers_that_make_no_sense(home: Home, do: Do, fault: Fault) -> None:
    home.box.fault(fault, times=None)
    with pytest.raises(RouterError) as raised:
        await do(home.driver)
    assert not isinstance(raised.value, RouterUnreachableError)
    assert raised.value.left == ()


async def test_an_error_inside_an_answer_of_200(home: Home) -> None:
    await home.driver.connect()
    home.box.fault(Fault.ERROR_INSIDE, action="GetSpecificPortMappingEntry")
    with pytest.raises(UpnpFault, match="501"):
        await home.driver.open(forward(8443), HOUR)


@everything
async def test_silence(session: aiohttp.ClientSession, do: Do) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        home.box.fault(Fault.NEVER, times=None)
        with pytest.raises(RouterTimeoutError):
            await do(home.driver)


@everything
async def test_nobody_there(home: Home, do: Do) -> None:
    await home.box.stop()
    with pytest.raises(RouterUnreachableError):
        await do(home.driver)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
@pytest.mark.parametrize(
    "action", ["AddPortMapping", "DeletePortMapping", "GetSpecificPortMappingEntry"]
)
async def test_dropped_once_is_mended(home: Home, fault: Fault, action: str) -> None:
    await home.driver.connect()
    home.box.fault(fault, action=action)
    (granted,) = await home.driver.open(forward(8443), HOUR)
    assert len(home.box.sharing.rows) == 1
    await home.driver.close(granted)
    assert not home.box.sharing.rows


@pytest.mark.parametrize("fault", [Fault.NEVER, Fault.SLOW])
async def test_an_add_without_an_answer(session: aiohttp.ClientSession, fault: Fault) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        await home.driver.connect()
        home.box.fault(fault, action="AddPortMapping")
        with pytest.raises(RouterTimeoutError) as raised:
            await home.driver.open(forward(8443), HOUR)
        # Where it was there it was taken back; where not, it may still come.
        assert bool(raised.value.left) is (fault is Fault.NEVER)
        assert not home.box.sharing.rows


async def test_said_and_not_done(home: Home) -> None:
    home.box.fault(Fault.IGNORED, action="AddPortMapping")
    with pytest.raises(NotMappedError):
        await home.driver.open(forward(8443), HOUR)
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.box.fault(Fault.IGNORED, action="DeletePortMapping", times=None)
    with pytest.raises(NotClosedError):
        await home.driver.close(granted)


async def test_secrets_stay_secret(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    seen: list[str] = []

    async def fail(do: Do, driver: FritzBoxRouter) -> None:
        with pytest.raises(RouterError) as raised:
            await do(driver)
        error: BaseException | None = raised.value
        while error is not None:
            seen.append(f"{error} {error!r} {getattr(error, 'placeholders', '')}")
            error = error.__cause__ or error.__context__

    for do in EVERYTHING.values():
        await fail(do, home.another_driver({"username": "somebody"}))
    home.box.digest.locked = False
    for fault in (Fault.HTML, Fault.NEVER, Fault.DROP_BEFORE):
        home.box.fault(fault, times=None)
        timeout = TIMEOUT if fault is Fault.NEVER else 10
        for do in EVERYTHING.values():
            await fail(do, home.another_driver(timeout=timeout))
        home.box.clear_faults()
    driver = home.another_driver()
    seen += [str(await driver.connect()), repr(driver), str(driver.learned), caplog.text]
    assert not any(PASSWORD in text for text in seen)
