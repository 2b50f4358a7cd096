"""A device of the home fills the router's NAT by UPnP, which lists its rules among all others."""

import aiohttp

from custom_components.port_forward.routers.transport import MAX_BODY

from ..forwards import forward
from .home import HOUR, NAT, home_with


async def test_ours_is_seen_and_closed_among_thousands(session: aiohttp.ClientSession) -> None:
    async with home_with(session, timeout=60) as home:
        menu = home.router._menus[NAT]
        for number in range(3_000):
            # Past `add`, which applies the rules each time. For an interface that nothing
            # comes from, so that their ports need not be free on this machine.
            menu.add(
                {
                    "chain": "dstnat",
                    "action": "dst-nat",
                    "protocol": "tcp",
                    "in-interface": "bridge",
                    "dst-port": str(number + 1),
                    "to-addresses": "192.168.88.66",
                    "to-ports": "80",
                    "comment": "<b>" + "x" * 400,
                }
            )
        [opened] = await home.driver.open(forward(), HOUR)
        snapshot = await home.driver.snapshot()
        found = snapshot.find(opened)
        assert found
        assert found.same_rule(opened)
        await home.driver.close(opened)
        assert (await home.driver.snapshot()).find(opened) is None
        assert len(str(home.router.items(NAT))) > MAX_BODY, "or this shows nothing"
