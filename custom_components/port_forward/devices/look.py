"""Where all forwards of a router lead, as one look finds it."""

import asyncio
from typing import TYPE_CHECKING

from ..const import CONF_INTERNAL_HOST, SUBENTRY_TYPE_FORWARD
from ..pieces import in_pieces
from ..routers.model import Forward
from .hosts import HostError, is_name

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator


async def async_find_all(coordinator: PortForwardCoordinator) -> dict[str, Forward | HostError]:
    """Return each forward with its host resolved now, or why it cannot be, by their ids.

    All names are looked up side by side: a slow name server costs no more for
    many of them than for one.
    """

    async def find(forward_id: str) -> Forward | HostError:
        try:
            return await coordinator.async_forward(forward_id)
        except HostError as error:
            return error

    hosts = {
        subentry.subentry_id: subentry.data.get(CONF_INTERNAL_HOST, "")
        for subentry in coordinator.config_entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)
    }
    found: dict[str, Forward | HostError] = {}
    async with asyncio.TaskGroup() as group:
        by_name = {
            forward_id: group.create_task(find(forward_id))
            for forward_id, host in hosts.items()
            if is_name(host)
        }
        async for forward_id in in_pieces(tuple(hosts)):
            if forward_id not in by_name:
                found[forward_id] = await find(forward_id)
    found |= {forward_id: task.result() for forward_id, task in by_name.items()}
    return {forward_id: found[forward_id] for forward_id in hosts}
