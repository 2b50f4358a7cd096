"""What else an OPNsense, its administrator or the network may do to us."""

from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    AuthenticationFailedError,
    CertificateError,
    InvalidForwardError,
    MissingRightsError,
    NotAppliedError,
    NotClosedError,
    NotMappedError,
    ProtocolError,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    TooOldError,
    UnsupportedError,
)
from custom_components.port_forward.routers.opnsense import OPNsenseRouter
from custom_components.port_forward.routers.opnsense import api as api_module
from lab.opnsense import Account, Fault, Privilege
from lab.opnsense.rule import flatten

from ..forwards import forward
from ..patience import TIMEOUT
from .home import CAMERA, HOUR, Home, home_with

type Do = Callable[[OPNsenseRouter], Awaitable[object]]

EVERYTHING: dict[str, Do] = {
    "connect": lambda driver: driver.connect(),
    "snapshot": lambda driver: driver.snapshot(),
    "open": lambda driver: driver.open(forward(8443), HOUR),
    "close": lambda driver: driver.close(driver.plan(forward(8443))[0]),
}
everything = pytest.mark.parametrize("do", EVERYTHING.values(), ids=EVERYTHING)


def is_left(error: RouterError) -> bool:
    """Tell whether the error says that the rule may still stand, as the ledger would keep it."""
    (left,) = error.left
    return left.key.startswith("tcp/8443/") and not left.description and left.id == "/camera1"


@everything
@pytest.mark.parametrize("wrong", ["api_key", "api_secret"])
async def test_wrong_key_or_secret(home: Home, do: Do, wrong: str) -> None:
    driver = home.another_driver(**{wrong: "wrong"})
    with pytest.raises(AuthenticationFailedError) as raised:
        await do(driver)
    assert raised.value.placeholders == {"host": "127.0.0.1"}


async def test_a_refused_login_is_not_tried_again_for_a_while(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = home.another_driver(api_secret="wrong")
    for _ in range(5):
        with pytest.raises(AuthenticationFailedError):
            await driver.snapshot()
    assert home.firewall.requests.total() == 1
    monkeypatch.setattr(api_module, "LOGIN_PAUSE", 0.0)
    with pytest.raises(AuthenticationFailedError):
        await driver.snapshot()
    assert home.firewall.requests.total() == 2


@everything
async def test_a_key_that_was_revoked_later(home: Home, do: Do) -> None:
    await home.driver.connect()
    home.firewall.accounts.clear()
    with pytest.raises(AuthenticationFailedError):
        await do(home.driver)


@everything
async def test_rights_that_are_missing_or_taken_away(home: Home, do: Do) -> None:
    home.firewall.accounts[0].privileges.discard(Privilege.DESTINATION_NAT)
    with pytest.raises(MissingRightsError) as raised:
        await do(home.driver)
    assert raised.value.placeholders["detail"] == Privilege.DESTINATION_NAT


@pytest.mark.parametrize("do", [lambda driver: driver.check_rights(), EVERYTHING["open"]])
async def test_a_user_who_may_not_write(session: aiohttp.ClientSession, do: Do) -> None:
    async with home_with(session, account=Account(name="ro", read_only=True)) as home:
        with pytest.raises(MissingRightsError, match="Deny config write"):
            await do(home.driver)


@everything
@pytest.mark.parametrize("version", ["25.7.8", "24.1"])
async def test_too_old(session: aiohttp.ClientSession, do: Do, version: str) -> None:
    async with home_with(session, version=version) as home:
        with pytest.raises(TooOldError) as raised:
            await do(home.driver)
        assert raised.value.placeholders["needed"] == "OPNsense 26.1"


@pytest.mark.parametrize("version", ["26.1.11", "26.7.2", "27.1"])
async def test_new_enough(session: aiohttp.ClientSession, version: str) -> None:
    async with home_with(session, version=version) as home:
        (granted,) = await home.driver.open(forward(8443), HOUR)
        await home.driver.close(granted)


async def test_no_such_interface(home: Home) -> None:
    with pytest.raises(UnsupportedError, match="no interface opt9"):
        await home.another_driver(interface="opt9").connect()


@everything
async def test_another_certificate(home: Home, do: Do) -> None:
    await home.driver.connect()
    await home.firewall.change_certificate()
    with pytest.raises(CertificateError):
        await do(home.driver)
    assert not home.firewall.table.uuids


@everything
async def test_a_certificate_that_nobody_vouches_for(home: Home, do: Do) -> None:
    with pytest.raises(CertificateError):
        await do(home.another_driver(fingerprint=""))
    assert not home.firewall.requests


@everything
@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (Fault.HTML, "a web page in place of an answer"),
        (Fault.EMPTY, "no JSON"),
        (Fault.WRONG_SHAPE, "an answer of another shape"),
        (Fault.ERROR_500, "HTTP 500, Unexpected error, check log for details"),
        (Fault.ERROR_INSIDE, ""),
    ],
)
async def test_answers_that_make_no_sense(home: Home, do: Do, fault: Fault, detail: str) -> None:
    home.firewall.fault(fault, times=None)
    with pytest.raises(ProtocolError) as raised:
        await do(home.driver)
    assert detail in raised.value.placeholders["detail"]


@everything
async def test_silence(session: aiohttp.ClientSession, do: Do) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        home.firewall.fault(Fault.NEVER, times=None)
        with pytest.raises(RouterTimeoutError):
            await do(home.driver)


@everything
async def test_nobody_there(home: Home, do: Do) -> None:
    await home.firewall.stop()
    with pytest.raises(RouterUnreachableError):
        await do(home.driver)


async def test_a_read_is_asked_again_after_a_drop(home: Home) -> None:
    home.firewall.fault(Fault.DROP_BEFORE, action="searchRule")
    await home.driver.snapshot()
    home.firewall.fault(Fault.DROP_BEFORE, action="searchRule", times=2)
    with pytest.raises(RouterUnreachableError):
        await home.driver.snapshot()


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
@pytest.mark.parametrize("action", ["addRule", "apply", "delRule", "searchRule"])
async def test_dropped_once_is_mended(home: Home, fault: Fault, action: str) -> None:
    home.firewall.fault(fault, action=action)
    (granted,) = await home.driver.open(forward(8443), HOUR)
    assert len(home.saved()) == 1
    await home.driver.close(granted)
    assert not home.saved()
    assert not home.in_force()


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
async def test_an_add_that_drops_twice_is_taken_back(home: Home, fault: Fault) -> None:
    home.firewall.fault(fault, action="addRule")
    home.firewall.fault(Fault.DROP_BEFORE, action="addRule")
    if fault is Fault.DROP_BEFORE:
        with pytest.raises(RouterUnreachableError) as raised:
            await home.driver.open(forward(8443), HOUR)
        assert raised.value.left == ()
        assert not home.saved()
    else:
        # It was carried out, so nobody asked again.
        await home.driver.open(forward(8443), HOUR)
        assert len(home.saved()) == 1


@pytest.mark.parametrize("fault", [Fault.NEVER, Fault.SLOW])
async def test_an_add_without_an_answer(session: aiohttp.ClientSession, fault: Fault) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        home.firewall.fault(fault, action="addRule")
        with pytest.raises(RouterTimeoutError) as raised:
            await home.driver.open(forward(8443), HOUR)
        assert is_left(raised.value)
        assert not home.saved()
        assert not home.in_force()


@pytest.mark.parametrize("fault", [Fault.NEVER, Fault.SLOW])
async def test_an_apply_that_never_confirms(session: aiohttp.ClientSession, fault: Fault) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        home.firewall.fault(fault, action="apply")
        with pytest.raises(RouterTimeoutError) as raised:
            await home.driver.open(forward(8443), HOUR)
        assert raised.value.left == ()
        assert not home.saved()
        assert not home.in_force()


async def test_an_apply_that_never_confirms_twice(session: aiohttp.ClientSession) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        home.firewall.fault(Fault.SLOW, action="apply", times=None)
        with pytest.raises(RouterTimeoutError) as raised:
            await home.driver.open(forward(8443), HOUR)
        # Deleted, but nobody said that it is out of force.
        (left,) = raised.value.left
        home.firewall.clear_faults()
        await home.driver.close(left)
        assert not home.saved()
        assert not home.in_force()


async def test_an_apply_that_fails(home: Home) -> None:
    home.firewall.fault(Fault.NOT_APPLIED, action="apply")
    with pytest.raises(NotAppliedError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert raised.value.placeholders["detail"] == "Execute error"
    assert raised.value.left == ()
    assert not home.saved()


async def test_a_close_that_is_not_applied_is_not_done(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.firewall.fault(Fault.NOT_APPLIED, action="apply")
    with pytest.raises(NotAppliedError):
        await home.driver.close(granted)
    assert home.in_force() == {"8443"}
    assert not home.saved()
    await home.driver.close(granted)
    assert not home.in_force()


async def test_saved_and_not_there(home: Home) -> None:
    home.firewall.fault(Fault.IGNORED, action="addRule")
    with pytest.raises(NotMappedError):
        await home.driver.open(forward(8443), HOUR)


async def test_deleted_and_still_there(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.firewall.fault(Fault.IGNORED, action="delRule", times=None)
    with pytest.raises(NotClosedError):
        await home.driver.close(granted)


async def test_values_that_the_firewall_refuses(home: Home) -> None:
    home.firewall.table.interfaces = {"lan": "LAN"}
    with pytest.raises(InvalidForwardError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert "Option [wan] not in list." in raised.value.placeholders["detail"]
    assert not home.saved()


async def test_several_messages_for_one_field(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"result": "failed", "validations": {"rule.target": ["one", "two"]}}
    monkeypatch.setattr(home.firewall.table, "add", lambda *_: wrong)
    with pytest.raises(InvalidForwardError, match="one two"):
        await home.driver.open(forward(8443), HOUR)


WIDER = [
    {"source": {"network": ""}},
    {"source": {"not": "1"}},
    {"interface": "lan,wan"},
    {"protocol": "tcp/udp"},
    {"destination": {"port": "8000-9000"}},
    {"destination": {"network": ""}},
    {"target": CAMERA},
    {"local-port": "22"},
    {"disabled": "1"},
    {"pass": ""},
    {"nordr": "1"},
    {"ipprotocol": ""},
]


@pytest.mark.parametrize("fields", WIDER)
async def test_saved_otherwise_than_asked_is_taken_back(
    home: Home, fields: dict[str, object]
) -> None:
    def on_request(action: str) -> None:
        if action == "apply":
            home.firewall.on_request = None
            home.firewall.table[home.firewall.table.uuids[0]].update(flatten(fields))

    home.firewall.on_request = on_request
    with pytest.raises(NotMappedError) as raised:
        await home.driver.open(forward(8443, source="203.0.113.5/32"), HOUR)
    assert raised.value.left == ()
    assert not home.saved()
    assert not home.in_force()


async def test_the_account_loses_its_rights_in_the_middle(home: Home) -> None:
    def on_request(action: str) -> None:
        if action == "addRule":
            home.firewall.accounts[0].privileges.clear()

    home.firewall.on_request = on_request
    with pytest.raises(MissingRightsError) as raised:
        await home.driver.open(forward(8443), HOUR)
    assert is_left(raised.value)


async def test_states_that_cannot_be_read_do_not_keep_a_port_open(home: Home) -> None:
    (granted,) = await home.driver.open(forward(8443), HOUR)
    home.firewall.fault(Fault.HTML, action="queryStates")
    await home.driver.close(granted)
    assert not home.saved()
    assert "a web page" in home.driver.learned["keeps_connections"]


async def test_secrets_stay_secret(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    secret = "Sup3rS3cretValue"
    seen: list[str] = []

    async def fail(do: Do, driver: OPNsenseRouter) -> None:
        with pytest.raises(RouterError) as raised:
            await do(driver)
        error: BaseException | None = raised.value
        while error is not None:
            seen.append(f"{error} {error!r} {getattr(error, 'placeholders', '')}")
            error = error.__cause__ or error.__context__

    for do in EVERYTHING.values():
        await fail(do, home.another_driver(api_secret=secret, api_key=f"K{secret}"))
    home.firewall.accounts[0].secret = secret
    for fault in (Fault.HTML, Fault.NEVER, Fault.DROP_BEFORE, Fault.ERROR_500):
        home.firewall.fault(fault, times=None)
        timeout = TIMEOUT if fault is Fault.NEVER else 10
        for do in EVERYTHING.values():
            await fail(do, home.another_driver(timeout))
        home.firewall.clear_faults()
    driver = home.another_driver()
    seen += [repr(driver), str(driver.learned), str(await driver.connect()), caplog.text]
    assert not any(secret in text for text in seen)
    encoded = home.firewall.accounts[0].key
    assert not any(encoded in text for text in seen)
