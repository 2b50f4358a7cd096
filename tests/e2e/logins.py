"""Adding a router with an API of its own, and logging in again, as a user does in the browser."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from lab.openwrt import OpenWrt
from lab.openwrt.accounts import Account
from lab.openwrt.sessions import Session
from tests.e2e.forms import Step
from tests.e2e.ui import ROUTER_FLOW, Added, Ui
from tests.e2e.waiting import GUARD

_ABOUT_THE_CONNECTION = ("certificate", "unencrypted")


async def start_login(ui: Ui, driver: str) -> Step:
    """Press *Add entry* and go on to the form of this kind of router."""
    step: Step = await ui.ha.post(ROUTER_FLOW, {"handler": "port_forward"})
    assert (step["type"], step["step_id"]) == ("form", "user")
    step = await ui.submit(ROUTER_FLOW, step, url=driver)
    assert (step["type"], step["step_id"]) == ("form", driver)
    return step


async def log_in(ui: Ui, step: Step, login: Mapping[str, str]) -> Step:
    """Fill in the form, say yes to the connection if that is asked, and return what comes then."""
    step = await ui.submit(ROUTER_FLOW, step, **login)
    if step.get("step_id") in _ABOUT_THE_CONNECTION:
        step = await ui.submit(ROUTER_FLOW, step)
    return step


async def add_by_login(ui: Ui, driver: str, login: Mapping[str, str]) -> Added:
    """Add the router that this login is for."""
    return await ui.added(await log_in(ui, await start_login(ui, driver), login))


async def asked_to_log_in_again(ui: Ui, cards: asyncio.Queue[Any]) -> Step:
    """Wait until the user is asked, and open the form.

    `cards` is a subscription to "config_entries/flow/subscribe".
    """
    async with asyncio.timeout(GUARD):
        while True:
            for card in await cards.get():
                if card["type"] == "added" and card["flow"]["context"]["source"] == "reauth":
                    step: Step = await ui.ha.get(f"{ROUTER_FLOW}/{card['flow_id']}")
                    return step


async def repairs(ui: Ui, entry: str) -> set[str]:
    """Return what *Repairs* tell of a router, by the translation keys.

    Another test may have left one of its own router.
    """
    issues = await ui.repairs()
    return {issue["translation_key"] for issue in issues if issue["issue_id"].endswith(entry)}


def ids_of_sessions(router: OpenWrt, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the ids of all sessions that begin from now on: a set that grows."""
    ids = set[str]()
    login = router.sessions.login

    def noted_login(account: Account, timeout: int | None) -> Session:
        session = login(account, timeout)
        ids.add(session.id)
        return session

    monkeypatch.setattr(router.sessions, "login", noted_login)
    return ids
