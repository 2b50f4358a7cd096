"""miniupnpc, which has met most routers there are, takes the virtual one for one of them."""

import asyncio

import miniupnpc
import pytest

from lab.virtual_router import VirtualRouter, free_port


@pytest.mark.parametrize("igd", [1, 2])
async def test_miniupnpc_lists_adds_and_deletes(igd: int) -> None:
    async with VirtualRouter(igd=igd) as router:
        own, foreign = free_port(), free_port()
        await router.add_foreign(
            protocol="UDP",
            external_port=foreign,
            internal_host="127.0.0.9",
            internal_port=3074,
            description="Xbox",
            lease=100,
        )

        def use() -> None:
            client = miniupnpc.UPnP()
            client.selectigd(router.description_url)
            assert client.externalipaddress() == "203.0.113.7"
            assert client.statusinfo()[0] == "Connected"
            assert client.addportmapping(own, "TCP", "127.0.0.1", 80, "Door", "", 3600)
            assert client.getgenericportmapping(0) == (
                *(foreign, "UDP", ("127.0.0.9", 3074)),
                *("Xbox", "1", "", 100),
            )
            assert client.getgenericportmapping(1)[0] == own
            assert client.getgenericportmapping(2) is None
            assert client.getspecificportmapping(own, "TCP") == (
                *("127.0.0.1", 80, "Door", True, 3600),
            )
            with pytest.raises(Exception, match="ConflictInMappingEntry"):
                client.addportmapping(foreign, "UDP", "127.0.0.1", 80, "Door", "", 3600)
            assert client.deleteportmapping(own, "TCP")

        await asyncio.to_thread(use)
        assert [row.external_port for row in router.mappings] == [foreign]
