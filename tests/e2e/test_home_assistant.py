"""Home Assistant itself, as these tests run it, and that they would notice trouble."""

import pytest

from lab.home_assistant import RealHomeAssistant
from tests.e2e.log import LogBook


async def test_uses_loopback_only(ha: RealHomeAssistant) -> None:
    network = await ha.command("network")
    assert [adapter["name"] for adapter in network["adapters"] if adapter["enabled"]] == ["lo"]
    urls = await ha.command("network/url")
    assert urls["internal"] == ha.url


@pytest.mark.parametrize(
    ("level", "message"),
    [("error", "something broke"), ("debug", "Detected blocking call to open")],
)
async def test_trouble_in_the_log_is_noticed(
    ha: RealHomeAssistant, log: LogBook, level: str, message: str
) -> None:
    await ha.call(
        "system_log",
        "write",
        message=message,
        level=level,
        logger="custom_components.port_forward.test",
    )
    with pytest.raises(AssertionError, match=message):
        await log.check()
    log.provoke(message, because="this test is about that")
    await log.check()
