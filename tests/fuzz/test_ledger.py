"""The file of the ledger: whatever is in it, a ledger or an error that keeps it aside."""

import json
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.openings import (
    Ledger,
    LedgerUnreadableError,
    Opening,
    Phase,
)
from custom_components.port_forward.routers.model import Forward, PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.upnp.soap import envelope
from custom_components.port_forward.routers.upnp.wan import _key

from .documents import NUMBERS, TEXTS
from .effort import count, inputs

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
_times = st.integers(0, 10**9).map(lambda seconds: NOW + timedelta(seconds=seconds))
_mappings = st.builds(
    lambda protocol, port, host, source: PortMapping(
        protocols=(protocol,),
        external_ports=PortRange.single(port),
        internal_host=str(host),
        internal_ports=PortRange.single(port),
        allowed_source=source,
    ),
    st.sampled_from(Protocol),
    st.integers(1, 65535),
    st.ip_addresses(v=4),
    st.sampled_from(("", "198.51.100.7")),
)
_openings = st.builds(
    lambda name, mappings, phase, opened, deadline, source, adopted, limit: Opening(
        forward=Forward(
            id=f"f{len(name)}",
            name=name,
            internal_host=IPv4Address("192.0.2.5"),
            protocols=(Protocol.TCP,),
            external_ports=PortRange(first=80, last=90),
            internal_ports=PortRange(first=180, last=190),
            allowed_source=source,
            adopted=adopted,
        ),
        mappings=tuple(mappings),
        phase=phase,
        opened_at=opened,
        asked_at=opened,
        deadline=deadline,
        lease_until=deadline,
        limit=limit,
    ),
    st.text(st.characters(codec="utf-8"), max_size=10),
    st.lists(_mappings, max_size=3),
    st.sampled_from(Phase),
    _times,
    st.none() | _times,
    st.none() | st.just(IPv4Network("198.51.100.0/24")),
    st.none() | _mappings,
    st.none() | st.ip_addresses().map(ip_network),
)
_odd = st.one_of(
    st.sampled_from((None, True, 0, -1, 1e300, -1e300, 2**63, [], {}, [[]], {"": {}}, "lost")),
    st.sampled_from(
        (*NUMBERS, *TEXTS, "2026-11-22", "2026-11-22T12:00:00", "tcp", "open", "80-70")
    ),
    st.sampled_from(("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "192.0.2.5/24")),
    st.recursive(
        st.none()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=4,
    ),
)


@pytest.fixture
def place(hass: HomeAssistant, tmp_path: Path) -> Iterator[Path]:
    """Where the ledger is."""
    before = hass.config.config_dir
    hass.config.config_dir = str(tmp_path)
    yield tmp_path / ".storage" / "port_forward.fuzz"
    hass.config.config_dir = before


async def _load(hass: HomeAssistant, path: Path, content: bytes) -> Ledger | None:
    """Return the ledger that was read, None where the file was kept aside."""
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    path.write_bytes(content)
    ledger = Ledger(hass, "fuzz")
    try:
        await ledger.load()
    except LedgerUnreadableError as error:
        kept = error.kept_as.read_bytes()
    else:
        return ledger
    assert kept == content
    assert ledger.is_lost
    assert ledger.openings == {}
    # What stands there now is empty, and says that something is missing.
    again = Ledger(hass, "fuzz")
    await again.load()
    assert again.is_lost
    return None


def _check(ledger: Ledger) -> None:
    """Make sure that all that is done with a ledger can be done with this one."""
    assert isinstance(ledger.is_lost, bool)
    assert all(isinstance(text, str) for pair in ledger.learned.items() for text in pair)
    if ledger.last_seen:
        assert not ledger.last_seen.restarted_since(ledger.last_seen)
    for forward_id, opening in ledger.openings.items():
        assert forward_id == opening.forward.id
        assert isinstance(opening.forward.name, str)
        opening.is_overdue(NOW)
        times = (opening.opened_at, opening.asked_at, opening.deadline, opening.lease_until)
        assert all(time is None or time - MONTH < time + MONTH for time in times)
        assert opening.opened_by is None or isinstance(opening.opened_by, str)
        for mapping in opening.mappings:
            envelope(
                "urn:x",
                "DeletePortMapping",
                _key(replace(mapping, protocols=mapping.protocols[:1])),
            )
            assert isinstance(mapping.internal_host, str)


@inputs(20)
@given(
    openings=st.lists(_openings, max_size=3), learned=st.dictionaries(st.text("ab"), st.text("cd"))
)
async def test_what_is_written_is_read(
    hass: HomeAssistant, place: Path, openings: list[Opening], learned: dict[str, str]
) -> None:
    content = await _written(hass, place, openings, learned)
    count()
    ledger = await _load(hass, place, content)
    assert ledger
    _check(ledger)
    assert ledger.openings == {opening.forward.id: opening for opening in openings}
    assert ledger.learned == learned


async def _written(
    hass: HomeAssistant,
    path: Path,
    openings: list[Opening],
    learned: dict[str, str],
    *,
    is_locked: bool = False,
) -> bytes:
    ledger = Ledger(hass, "fuzz")
    ledger.is_locked = is_locked
    ledger.learned = learned
    await ledger.record(*openings)
    return path.read_bytes()


@inputs(40)
@given(opening=_openings, data=st.data())
async def test_any_value_anywhere(
    hass: HomeAssistant, place: Path, opening: Opening, data: st.DataObject
) -> None:
    stored = json.loads(await _written(hass, place, [opening], {"a": "b"}))
    stored["last_seen"] = {"taken_at": NOW.isoformat(), "uptime": 5.0}
    for _ in range(data.draw(st.integers(1, 3))):
        _put(stored, data)
    count()
    ledger = await _load(hass, place, json.dumps(stored).encode("utf-8", "replace"))
    if ledger:
        _check(ledger)


def _put(holder: dict[Any, Any] | list[Any], data: st.DataObject) -> None:
    """Put something odd in the place of something, or take it away."""
    keys = list(holder if isinstance(holder, dict) else range(len(holder)))
    if not keys:
        return
    key = data.draw(st.sampled_from(keys))
    if isinstance(holder[key], dict | list) and data.draw(st.integers(0, 4)):
        _put(holder[key], data)
    elif data.draw(st.integers(0, 3)):
        holder[key] = deepcopy(data.draw(_odd))
    else:
        del holder[key]


@inputs(20)
@given(
    content=st.one_of(
        st.binary(max_size=100),
        _odd.map(lambda value: json.dumps(value).encode()),
        st.sampled_from(
            (b"[" * 5000, b'{"a":' * 5000, b"\xef\xbb\xbf{}", b"{}" * 2, b"\x00" * 4096)
        ),
    )
)
async def test_any_bytes(hass: HomeAssistant, place: Path, content: bytes) -> None:
    count()
    ledger = await _load(hass, place, content)
    if ledger:
        _check(ledger)


@inputs(10)
@given(opening=_openings, is_locked=st.booleans(), data=st.data())
async def test_a_file_that_was_cut(
    hass: HomeAssistant, place: Path, opening: Opening, data: st.DataObject, *, is_locked: bool
) -> None:
    """What a power cut leaves is never taken for a ledger with less in it, or without lockdown."""
    content = await _written(hass, place, [opening], {"a": "b"}, is_locked=is_locked)
    cut = data.draw(st.integers(0, len(content) - 1))
    count()
    assert await _load(hass, place, content[:cut]) is None
    again = Ledger(hass, "fuzz")
    await again.load()
    legible = cut >= content.index(b'"learned"') + len(b'"learned"')
    assert again.is_locked is (is_locked or not legible)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"uptime":5.0', '"uptime":1e300'),
        ('"learned":{', '"learned":{"leases":1,'),
        ('"id":"f4"', '"id":["f4"]'),
        ('"asked_at":"2026-11-22T12:00:00+00:00"', '"asked_at":"2026-11-22T12:00:00"'),
        ('"allowed_source":""', '"allowed_source":5'),
        ('"protocols":["tcp"],"external_ports":"80"', '"protocols":[],"external_ports":"80"'),
    ],
)
async def test_what_was_found_out(
    hass: HomeAssistant, place: Path, before: str, after: str
) -> None:
    """Each of them was read once, and failed only when a port was to be closed."""
    mapping = PortMapping(
        protocols=(Protocol.TCP,),
        external_ports=PortRange.single(80),
        internal_host="192.0.2.5",
        internal_ports=PortRange.single(80),
    )
    forward = Forward(
        id="f4",
        name="Door",
        internal_host=IPv4Address("192.0.2.5"),
        protocols=(Protocol.TCP,),
        external_ports=PortRange.single(80),
        internal_ports=PortRange.single(80),
    )
    opening = Opening(
        forward=forward, mappings=(mapping,), phase=Phase.OPEN, opened_at=NOW, asked_at=NOW
    )
    stored = json.loads(await _written(hass, place, [opening], {}))
    stored["last_seen"] = {"taken_at": NOW.isoformat(), "uptime": 5.0}
    written = json.dumps(stored, separators=(",", ":"))
    assert await _load(hass, place, written.encode())
    assert before in written
    assert await _load(hass, place, written.replace(before, after).encode()) is None
