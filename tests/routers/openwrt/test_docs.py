"""The account that the page describes can do all that is needed, and not more."""

import json
import re
from pathlib import Path

import aiohttp

from custom_components.port_forward.routers.openwrt import probe
from lab.openwrt import OpenWrt, Rights

from ..forwards import forward
from .home import home_with, settings_of

PAGE = Path(__file__).parents[3] / "docs" / "routers" / "openwrt.md"


def documented() -> Rights:
    """The rights that rpcd grants for the ACL of the page."""
    found = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (acl,) = json.loads(found[1]).values()
    ubus: dict[str, tuple[str, ...]] = {}
    uci: dict[str, tuple[str, ...]] = {}
    for kind in ("read", "write"):
        for name, functions in acl[kind]["ubus"].items():
            ubus[name] = (*ubus.get(name, ()), *functions)
        for name in acl[kind]["uci"]:
            uci[name] = (*uci.get(name, ()), kind)
    file = {name: tuple(functions) for name, functions in acl["read"]["file"].items()}
    return Rights(ubus=ubus, uci=uci, file=file)


async def test_it_is_enough(session: aiohttp.ClientSession) -> None:
    async with OpenWrt(rights=documented()) as router:
        found = await probe(session, settings_of(router))
        assert found.rights.rules
        assert found.rights.time_zone
        assert found.rights.hardware_address
        assert found.rights.connections
    async with home_with(session, rights=documented()) as home:
        granted = await home.open(forward())
        assert granted.hits == 0
        await home.driver.close(granted)
        called = {call.split(" ", maxsplit=1)[0] for call in home.router.calls}
        assert called <= {"session", *documented().ubus}


def test_it_is_not_more() -> None:
    rights = documented()
    assert "*" not in json.dumps([rights.ubus, rights.uci, rights.file])
    assert rights.uci == {"firewall": ("read", "write"), "system": ("read",)}
    assert not {"commit", "order", "rename", "rollback"} & set(rights.ubus["uci"])
