"""Ours by another protocol: compared port by port."""

import pytest

from custom_components.port_forward.foreign.coverage import Coverage
from custom_components.port_forward.routers.model import PortMapping, PortRange, Protocol


def mapping(
    external: str, internal: str | None, protocols: str = "tcp", host: str = "a"
) -> PortMapping:
    return PortMapping(
        protocols=tuple(map(Protocol, protocols.split("+"))),
        external_ports=PortRange.parse(external),
        internal_host=host,
        internal_ports=PortRange.parse(internal) if internal else None,
    )


@pytest.mark.parametrize(
    ("opened", "row", "covers"),
    [
        ([("80", "80")], ("80", "80"), True),
        ([("80-81", "90-91", "tcp+udp")], ("81", "91", "udp"), True),
        ([("81", "91"), ("80", "90")], ("80-81", "90-91"), True),
        ([("80", "80", "tcp"), ("80", "80", "udp")], ("80", "80", "tcp+udp"), True),
        ([("80-85", "80-85"), ("82", "82")], ("80-85", "80-85"), True),
        ([], ("80", "80"), False),
        ([("80", "80")], ("80", "80", "tcp+udp"), False),
        ([("80", "80")], ("80-81", "80-81"), False),
        ([("80", "80"), ("82", "82")], ("80-82", "80-82"), False),
        ([("80", "80")], ("80", "81"), False),
        ([("80", "80")], ("80", "80", "tcp", "b"), False),
        ([("80", None)], ("80", None), False),
        ([("80-81", "80-81")], ("80-81", "80"), False),
    ],
)
def test_covers(opened: list[tuple[str, ...]], row: tuple[str, ...], *, covers: bool) -> None:
    assert Coverage(mapping(*one) for one in opened).covers(mapping(*row)) is covers
