"""Removing a port mapping so that it is really gone, and nothing else with it."""

from collections.abc import Callable

from ..errors import NotClosedError, Refusal
from ..model import PortMapping
from ..refusals import not_permitted
from ..transport import DroppedError
from .soap import UpnpFault
from .wan import WanConnection


async def remove(
    wan: WanConnection, mapping: PortMapping, is_ours: Callable[[PortMapping], bool]
) -> bool:
    """Delete what stands under the key of `mapping` if `is_ours` says so of it; tell if it did.

    Looked at before, because another program may have taken the port over, and
    after, because routers keep mappings and say that they went (XB3, Q06).
    Raises NotClosedError, NotPermittedError and what reading raises.
    """

    async def stands() -> bool:
        held = await wan.specific(mapping)
        return held is not None and is_ours(held)

    async def delete() -> None:
        try:
            await wan.delete(mapping)
        except UpnpFault as fault:
            detail = fault.placeholders["detail"]
            raise not_permitted(Refusal.REFUSED, mapping, detail) from fault

    if not await stands():
        return False
    try:
        await delete()
    except DroppedError:
        # It may have been carried out (Q37); a second one could hit a newcomer.
        if await stands():
            await delete()
    if await stands():
        raise NotClosedError(port=str(mapping.external_ports))
    return True
