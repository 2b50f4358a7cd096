"""A router that does not accept our credentials is left alone for longer and longer."""

from contextlib import suppress

import pytest

from custom_components.port_forward.routers.errors import (
    AuthenticationFailedError,
    LockedOutError,
    MissingRightsError,
    RouterTimeoutError,
    SecondFactorError,
)
from custom_components.port_forward.routers.patience import Patience

MINUTE, HOUR, DAY = 60, 3600, 86400


class Account:
    """An account at a router, and how often somebody tried to log in to it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tries: list[float] = []
        self.asked_to_log_in = 0
        self.error: type[Exception] | None = AuthenticationFailedError
        self.patience = Patience(lambda: self.now)
        self.begin()

    def begin(self, credentials: int = 1) -> None:
        self.patience.begin(credentials, self._on_refused)

    def _on_refused(self) -> None:
        self.asked_to_log_in += 1

    def ask(self) -> str:
        """Ask once; return what came of it."""
        try:
            with self.patience.asking():
                self.tries.append(self.now)
                if self.error:
                    raise self.error(host="router")  # type: ignore[call-arg]
        except (AuthenticationFailedError, RouterTimeoutError, MissingRightsError) as error:
            return error.translation_key
        return "done"

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def account() -> Account:
    return Account()


def test_tried_seven_times_in_a_day(account: Account) -> None:
    begun = account.now
    while account.now < begun + DAY:
        assert account.ask() == "authentication_failed"
        account.wait(10)
    hours = [0, 1 / 12, 7 / 12, 19 / 12, 91 / 12, 163 / 12, 235 / 12]
    assert [tried - begun for tried in account.tries] == [
        pytest.approx(hour * HOUR, abs=10 * 7) for hour in hours
    ]
    assert account.asked_to_log_in == len(account.tries)


@pytest.mark.parametrize(
    ("error", "pause"), [(LockedOutError, HOUR), (SecondFactorError, 5 * MINUTE)]
)
def test_says_the_same_again(
    account: Account, error: type[AuthenticationFailedError], pause: float
) -> None:
    account.error = error
    assert account.ask() == error.translation_key
    account.wait(pause - 1)
    assert account.ask() == error.translation_key
    assert len(account.tries) == 1
    account.wait(1)
    account.ask()
    assert len(account.tries) == 2


def test_success_ends_it(account: Account) -> None:
    for pause in (5 * MINUTE, 30 * MINUTE):
        account.ask()
        account.wait(pause)
    account.error = None
    assert account.ask() == "done"
    assert account.ask() == "done"
    assert account.patience.refusal is None
    account.error = AuthenticationFailedError
    account.ask()
    account.wait(5 * MINUTE)
    account.ask()
    assert len(account.tries) == 6


@pytest.mark.parametrize("error", [RouterTimeoutError, MissingRightsError])
def test_what_is_about_something_else_prolongs_nothing(
    account: Account, error: type[Exception]
) -> None:
    account.ask()
    account.wait(5 * MINUTE)
    account.error = error
    account.ask()
    account.ask()
    assert len(account.tries) == 3
    account.error = AuthenticationFailedError
    account.ask()
    account.wait(30 * MINUTE - 1)
    account.ask()
    assert len(account.tries) == 4, "it goes on from where it was"


def test_other_credentials_begin_anew(account: Account) -> None:
    account.ask()
    account.begin(credentials=2)
    account.error = None
    assert account.ask() == "done"


def test_reload_may_try_once(account: Account) -> None:
    account.ask()
    for _ in range(100):
        account.begin()
        account.ask()
    assert len(account.tries) == 1, "a storm of reloads is not"
    account.wait(MINUTE)
    account.begin()
    account.ask()
    account.ask()
    assert len(account.tries) == 2
    account.wait(29 * MINUTE)
    account.ask()
    assert len(account.tries) == 2, "and counts"


def test_only_one_tries_when_the_pause_is_over(account: Account) -> None:
    account.ask()
    account.wait(5 * MINUTE)
    with account.patience.asking():
        assert account.ask() == "authentication_failed"
    assert len(account.tries) == 1
    assert account.patience.refusal is None


def test_two_at_once_are_refused_once(account: Account) -> None:
    with suppress(AuthenticationFailedError), account.patience.asking():
        account.ask()
        raise AuthenticationFailedError(host="router")
    assert account.asked_to_log_in == 1
    account.wait(5 * MINUTE)
    account.ask()
    assert len(account.tries) == 2


def test_what_was_under_way_does_not_prove_that_it_is_accepted(account: Account) -> None:
    with account.patience.asking():  # in a session that is older
        account.ask()
    assert account.ask() == "authentication_failed"
    assert len(account.tries) == 1


def test_tried_again_after_one_that_broke_off(account: Account) -> None:
    account.ask()
    account.wait(5 * MINUTE)
    with pytest.raises(KeyboardInterrupt), account.patience.asking():
        raise KeyboardInterrupt
    account.ask()
    assert len(account.tries) == 2
