"""The reconcile table by itself: what is barred or limited comes before what would open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from custom_components.port_forward.openings import Opening, Phase
from custom_components.port_forward.openings.verdict import Evidence, Verdict, judge
from custom_components.port_forward.routers.model import Forward, PortRange, Protocol

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
PORT = PortRange.single(80)
FRIEND = IPv4Network("198.51.100.7/32")
CAMERA = Forward(
    id="camera",
    name="Camera",
    internal_host=IPv4Address("192.0.2.5"),
    protocols=(Protocol.TCP,),
    external_ports=PORT,
    internal_ports=PORT,
)
OPEN = Opening(forward=CAMERA, mappings=(), phase=Phase.OPEN, opened_at=NOW, asked_at=NOW)
FOR_FRIEND = replace(OPEN, forward=replace(CAMERA, allowed_source=FRIEND), limit=FRIEND)


def evidence(**changes: Any) -> Evidence:
    """Return that of an opening that stands, with `changes`."""
    stands = Evidence(
        deleted=False,
        barred=False,
        wanted=CAMERA,
        complete=True,
        lists_all=True,
        lost=False,
        now=NOW,
    )
    return replace(stands, **changes)


@pytest.mark.parametrize(
    ("opening", "verdict"),
    [
        (OPEN, Verdict.CLOSE_BARRED),
        (replace(OPEN, phase=Phase.LOST), Verdict.CLOSE_BARRED),
        (replace(OPEN, phase=Phase.OPENING), Verdict.CLOSE_BARRED),
        (replace(OPEN, deadline=NOW - timedelta(seconds=1)), Verdict.CLOSE_BARRED),
        (FOR_FRIEND, Verdict.CLOSE_BARRED),
        (replace(OPEN, phase=Phase.CLOSING), Verdict.CLOSE),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("lost", [True, False])
def test_barred(opening: Opening, verdict: Verdict, *, complete: bool, lost: bool) -> None:
    """Whatever the router shows, and whether or not it began anew."""
    assert judge(opening, evidence(barred=True, complete=complete, lost=lost)) is verdict


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        (None, Verdict.KEEP),
        ("198.51.100.0/24", Verdict.KEEP),
        ("198.51.100.7/32", Verdict.KEEP),
        ("198.51.100.8/32", Verdict.CLOSE_UNLIMITED),
        ("203.0.113.0/24", Verdict.CLOSE_UNLIMITED),
    ],
)
def test_edited_while_open_for_a_friend(source: str | None, verdict: Verdict) -> None:
    """What the forward lets in by itself counts only as far as the friend is among them."""
    wanted = replace(CAMERA, allowed_source=IPv4Network(source) if source else None)
    assert judge(FOR_FRIEND, evidence(wanted=wanted)) is verdict
    elsewhere = replace(wanted, internal_host=IPv4Address("192.0.2.6"))
    moved = Verdict.MOVE if verdict is Verdict.KEEP else verdict
    assert judge(FOR_FRIEND, evidence(wanted=elsewhere)) is moved


def test_edited_while_open_for_all() -> None:
    wanted = replace(CAMERA, allowed_source=FRIEND)
    assert judge(OPEN, evidence(wanted=wanted)) is Verdict.MOVE
