"""Who is where in the home's network, by what Home Assistant is told."""

import asyncio
from ipaddress import IPv4Address

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er

from custom_components.port_forward.devices import lan
from custom_components.port_forward.devices.lan import Lan, async_device_at, async_get_lan

from .whereabouts import CAMERA, NAS, add_device, add_tracker, set_up_dhcp, track

FIVE, SIX = "192.168.1.5", "192.168.1.6"


@pytest.fixture
def known(hass: HomeAssistant) -> Lan:
    """What is known, with two trackers that have said nothing yet."""
    add_tracker(hass, "camera")
    add_tracker(hass, "nas")
    return async_get_lan(hass)


def where(known: Lan, *macs: str) -> str | None:
    found = known.find(macs)
    return str(found) if found else None


def holders(known: Lan, address: str) -> set[str]:
    return known.holders(IPv4Address(address))


async def test_tracker(hass: HomeAssistant, known: Lan) -> None:
    assert where(known, CAMERA) is None
    track(hass, "camera", CAMERA, FIVE)
    await hass.async_block_till_done()
    assert where(known, CAMERA) == FIVE
    assert holders(known, FIVE) == {CAMERA}
    track(hass, "camera", CAMERA, SIX)
    await hass.async_block_till_done()
    assert where(known, CAMERA) == SIX
    assert holders(known, FIVE) == set()


@pytest.mark.parametrize("mac", ["AA:BB:CC:00:00:05", "aa-bb-cc-00-00-05", "aabbcc000005"])
async def test_macs_are_written_in_many_ways(hass: HomeAssistant, known: Lan, mac: str) -> None:
    track(hass, "camera", mac, FIVE)
    await hass.async_block_till_done()
    assert where(known, CAMERA) == FIVE


@pytest.mark.parametrize(
    ("mac", "address"),
    [
        (None, FIVE),
        (CAMERA, None),
        (CAMERA, ""),
        (CAMERA, "fe80::1"),
        (CAMERA, "192.168.1.5/24"),
        (CAMERA, 5),
        (CAMERA, [FIVE]),
        ("", FIVE),
        ("camera", FIVE),
        (7, FIVE),
        ("00:00:00:00:00:00", FIVE),
        ("ff:ff:ff:ff:ff:ff", FIVE),
        ("aa:bb:cc:00:00:0g", FIVE),
        (CAMERA + "\n", FIVE),
    ],
)
async def test_what_a_tracker_shows_may_make_no_sense(
    hass: HomeAssistant, known: Lan, mac: str | None, address: str | None
) -> None:
    track(hass, "camera", mac, address)
    await hass.async_block_till_done()
    assert holders(known, FIVE) == set()
    assert where(known, CAMERA) is None


@pytest.mark.parametrize(("state", "address"), [("not_home", FIVE), ("home", None)])
async def test_away_takes_nothing_back(
    hass: HomeAssistant, known: Lan, state: str, address: str | None
) -> None:
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "camera", CAMERA, address, state=state)
    await hass.async_block_till_done()
    assert where(known, CAMERA) == FIVE
    hass.states.async_remove("device_tracker.camera")
    await hass.async_block_till_done()
    assert where(known, CAMERA) == FIVE
    # Nobody sees it there: whoever says now to be there is believed.
    track(hass, "nas", NAS, FIVE)
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {NAS}


async def test_two_are_seen_at_one_address(hass: HomeAssistant, known: Lan) -> None:
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "nas", NAS, FIVE)
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {CAMERA, NAS}
    track(hass, "nas", NAS, FIVE, state="not_home")
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {CAMERA}
    track(hass, "nas", NAS, FIVE)
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {CAMERA, NAS}
    track(hass, "nas", NAS, SIX)
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {CAMERA}


async def test_back_home_it_says_so_anew(hass: HomeAssistant, known: Lan) -> None:
    track(hass, "camera", CAMERA, FIVE, state="home")
    track(hass, "camera", CAMERA, FIVE, state="not_home")
    track(hass, "nas", NAS, FIVE, state="home")
    track(hass, "nas", NAS, FIVE, state="unavailable")
    track(hass, "camera", CAMERA, FIVE, state="home")
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {CAMERA}


async def test_late_tracker_says_nothing_new(hass: HomeAssistant, known: Lan) -> None:
    """Two integrations track one device, and one of them is slow."""
    add_tracker(hass, "camera_too")
    track(hass, "camera_too", CAMERA, FIVE)
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "camera", CAMERA, SIX)
    track(hass, "camera_too", CAMERA, FIVE, signal=-60)
    await hass.async_block_till_done()
    assert where(known, CAMERA) == SIX
    assert holders(known, FIVE) == set()


async def test_old_news_at_the_start(hass: HomeAssistant) -> None:
    """A phone that left long ago still shows the address that the camera has now."""
    add_tracker(hass, "camera")
    add_tracker(hass, "nas")
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "nas", NAS, FIVE, state="not_home")
    known = async_get_lan(hass)
    assert where(known, CAMERA) == FIVE
    assert where(known, NAS) == FIVE
    assert holders(known, FIVE) == {CAMERA}


async def test_written_by_anybody(hass: HomeAssistant, known: Lan) -> None:
    """A state that no integration stands behind: `device_tracker.see` needs no rights."""
    track(hass, "made_up", CAMERA, FIVE)
    await hass.async_block_till_done()
    assert where(known, CAMERA) is None


async def test_listener(hass: HomeAssistant, known: Lan) -> None:
    heard: list[str | None] = []
    stop = known.async_listen(lambda: heard.append(where(known, CAMERA)))
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "camera", CAMERA, FIVE, signal=-60)
    track(hass, "camera", CAMERA, SIX)
    await hass.async_block_till_done()
    assert heard == [FIVE, SIX]
    stop()
    track(hass, "camera", CAMERA, FIVE)
    await hass.async_block_till_done()
    assert heard == [FIVE, SIX]


async def test_dhcp(hass: HomeAssistant, known: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    dhcp = await set_up_dhcp(hass, monkeypatch)
    dhcp.hear(CAMERA, FIVE)
    assert where(known, CAMERA) == FIVE
    dhcp.hear(NAS, FIVE)
    assert holders(known, FIVE) == {NAS}
    await asyncio.sleep(0)
    dhcp.hear(NAS, SIX)
    assert holders(known, FIVE) == {CAMERA}
    dhcp.hear(CAMERA, "2001:db8::5")
    assert where(known, CAMERA) == FIVE


async def test_dhcp_and_tracker_contradict_each_other(
    hass: HomeAssistant, known: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    dhcp = await set_up_dhcp(hass, monkeypatch)
    track(hass, "camera", CAMERA, FIVE)
    await hass.async_block_till_done()
    dhcp.hear(CAMERA, SIX)
    assert where(known, CAMERA) == SIX
    await asyncio.sleep(0)
    dhcp.hear(CAMERA, FIVE)
    dhcp.hear(NAS, FIVE)
    assert holders(known, FIVE) == {CAMERA, NAS}


async def test_repeater_is_wherever_the_devices_behind_it_are(
    hass: HomeAssistant, known: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    dhcp = await set_up_dhcp(hass, monkeypatch)
    dhcp.hear(CAMERA, FIVE)
    await asyncio.sleep(0)
    for _ in range(2):  # scans
        for address in ("192.168.1.7", FIVE, SIX):
            dhcp.hear(NAS, address)
        await asyncio.sleep(0)
        assert holders(known, FIVE) == {CAMERA}
        assert where(known, NAS) is None
    dhcp.hear(NAS, FIVE)
    assert holders(known, FIVE) == {CAMERA}


async def test_tracker_of_another_place(hass: HomeAssistant, known: Lan) -> None:
    """The router of the holiday house gives the same addresses."""
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "nas", NAS, FIVE, state="Holiday house")
    await hass.async_block_till_done()
    assert holders(known, FIVE) == {CAMERA}
    assert where(known, NAS) is None


async def test_what_dhcp_heard_before(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> None:
    dhcp = await set_up_dhcp(hass, monkeypatch)
    add_tracker(hass, "camera")
    track(hass, "camera", CAMERA, SIX)
    dhcp.hear(CAMERA, FIVE)
    dhcp.hear(NAS, "192.168.1.7")
    known = async_get_lan(hass)
    await hass.async_block_till_done()
    assert where(known, CAMERA) == SIX
    assert where(known, NAS) == "192.168.1.7"


async def test_flood_of_macs(
    hass: HomeAssistant, known: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lan, "_MOST_BY_DHCP", 10)
    dhcp = await set_up_dhcp(hass, monkeypatch)
    track(hass, "camera", CAMERA, FIVE)
    await hass.async_block_till_done()
    for number in range(100):
        dhcp.hear(f"02:00:00:00:00:{number:02x}", f"192.168.1.{number + 100}")
    assert len(known._claims) == 11
    assert len(known._by_mac) == 11
    assert len(known._by_address) == 11
    assert where(known, CAMERA) == FIVE


async def test_name_of_the_device_at_an_address(hass: HomeAssistant, known: Lan) -> None:
    assert async_device_at(hass, FIVE) is None
    track(hass, "camera", CAMERA, FIVE, friendly_name="Tracked camera")
    await hass.async_block_till_done()
    assert async_device_at(hass, FIVE) == "Tracked camera"
    add_device(hass, "Front camera", CAMERA)
    assert async_device_at(hass, FIVE) == "Front camera"
    same = add_device(hass, "Camera as the router has it", CAMERA)
    dr.async_get(hass).async_update_device(same.id, name_by_user="Door camera")
    assert async_device_at(hass, FIVE) == "Door camera"
    track(hass, "camera", CAMERA, SIX)
    await hass.async_block_till_done()
    assert async_device_at(hass, FIVE) is None
    assert async_device_at(hass, "camera.lan") is None
    assert async_device_at(hass, "2001:db8::5") is None


async def test_macs_of_a_device(hass: HomeAssistant, known: Lan) -> None:
    assert known.macs_of(add_device(hass, "Camera", CAMERA, NAS).id) == {CAMERA, NAS}
    phone = add_device(hass, "Phone")
    assert known.macs_of(phone.id) == set()
    add_tracker(hass, "phone", phone, unique_id="entry-phone")
    assert known.macs_of(phone.id) == set()
    track(hass, "phone", CAMERA, FIVE)
    assert known.macs_of(phone.id) == {CAMERA}
    tablet = add_device(hass, "Tablet")
    add_tracker(hass, "tablet", tablet, unique_id=NAS.upper())
    assert known.macs_of(tablet.id) == {NAS}
    er.async_get(hass).async_get_or_create("sensor", "x", CAMERA, device_id=tablet.id)
    assert known.macs_of(tablet.id) == {NAS}
