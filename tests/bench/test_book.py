from math import inf

from bench.crash.book import CLOSED, LATE, Account, Promise


def opened(until: float, at: float = 0.0) -> Account:
    account = Account()
    account.answer(account.send(CLOSED, at), Promise.until(until), at)
    return account


def test_an_answered_close_of_the_house_is_a_promise() -> None:
    account = opened(inf)
    account.close(now=10, by=12)
    assert not account.must_be_open(10)
    assert account.may_be_open(11.9)
    assert not account.may_be_open(12)
    assert not account.allows(inf)


def test_it_may_be_undone_by_a_kill_that_comes_before_it_is_done() -> None:
    account = opened(100)
    account.close(now=10, by=12)
    account.die(11)
    assert account.allows(100)
    assert account.allows(-inf)
    assert not account.allows(inf)


def test_it_is_not_undone_by_a_kill_that_comes_later() -> None:
    account = opened(100)
    account.close(now=10, by=12)
    account.die(12)
    assert not account.allows(100)
    assert account.allows(-inf)


def test_of_two_changes_both_may_be_undone() -> None:
    account = opened(100)
    account.close(now=10, by=12)
    account.close(now=11, by=13)
    account.die(11.5)
    assert account.allows(100)


def test_what_was_opened_since_is_not_undone() -> None:
    account = opened(100)
    account.close(now=10, by=12)
    account.answer(account.send(CLOSED, 10.5), Promise.until(200), 10.6)
    account.die(11)
    assert account.allows(200)
    assert not account.allows(100)


def test_what_was_called_before_it_and_answered_after_it_is_closed() -> None:
    account = opened(100)
    call = account.send(Promise.until(200), 9)
    account.close(now=10, by=12)
    account.answer(call, Promise.until(200), 10.5)
    assert not account.may_be_open(12 + LATE)
    account.die(11)
    assert account.allows(200)


def test_a_refused_call_changes_nothing() -> None:
    account = opened(100)
    account.refuse(account.send(CLOSED, 1))
    assert account.must_be_open(2)
    call = account.send(Promise.until(200), 9)
    account.close(now=10, by=12)
    account.refuse(call)
    account.die(11)
    assert not account.allows(200)
