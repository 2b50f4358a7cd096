"""A UPnP router says goodbye and hello by multicast, and nobody waits for the next look."""

from lab.netns import RealRouter
from tests.e2e.clients import PAGE, Internet, fetch
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui


async def test_restarted_while_open(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(r"Error fetching port_forward Real Router data", because="it is away for a moment")
    await ui.set_options(door.entry, refresh_interval=3600)
    # Its uptime falls, and not just from 0 to 0 seconds.
    await router.until_up_for(3.1)
    await ui.turn_on(door)
    async with await ui.activities() as activities:
        await router.restart()
        restored = await ui.happens(activities, "restored")
    assert restored["reason"] == "router_restarted"
    assert await fetch(port, on=internet) == PAGE
    assert await ui.is_on(door)
