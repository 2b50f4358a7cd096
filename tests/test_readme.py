"""What the README says of routers is what the drivers say."""

from custom_components.port_forward.routers.registry import DRIVERS

from .capability_table import NAMES, README, table, written


async def test_table_of_capabilities_is_that_of_the_drivers(socket_enabled: None) -> None:
    assert set(NAMES) == set(DRIVERS)
    assert written() == f"\n{await table()}\n"


def test_every_router_has_its_page() -> None:
    for name in NAMES.values():
        _, _, page = name.partition("](")
        assert not page or (README.parent / page.rstrip(")")).is_file()
