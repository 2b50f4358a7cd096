"""What the user of the key may do, tried before anything depends on it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ..errors import MissingRightsError, ProtocolError
from ..model import PortMapping, PortRange, Protocol
from .api import D_NAT, INTERFACES, RIGHTS, STATES, SYSTEM, Api
from .rule import fields_of
from .rulebook import RuleBook

# RFC 5737: nobody has this address.
_NOBODY: Final = PortMapping(
    protocols=(Protocol.TCP,),
    external_ports=PortRange.single(65534),
    internal_host="192.0.2.1",
    internal_ports=PortRange.single(65534),
    description="Home Assistant asks for permission",
)
_OPTIONAL: Final = {
    # By GET, so that nothing happens.
    STATES: f"{STATES}/kill_states",
    INTERFACES: INTERFACES,
    SYSTEM: SYSTEM,
}


async def read_choices(api: Api) -> Mapping[str, str]:
    """Return the names of the interfaces that a rule may be for, by their identifier.

    Raises MissingRightsError without the one right that is needed, and
    TooOldError where there is no such API.
    """
    template = (await api.read(f"{D_NAT}/getRule")).get("rule")
    choices = template.get("interface") if isinstance(template, dict) else None
    if not isinstance(choices, dict):
        raise ProtocolError(host=api.host, detail="getRule: no interfaces")
    return {
        key: str(choice.get("value", key)) if isinstance(choice, dict) else key
        for key, choice in choices.items()
    }


async def try_to_write(book: RuleBook, interface: str) -> None:
    """Save a rule that is switched off and leads nowhere, and delete it: neither is applied.

    Only saving tells who may not (core, ApiMutableModelControllerBase::save).
    Raises MissingRightsError.
    """
    fields = {**fields_of(_NOBODY, interface), "disabled": "1", "pass": ""}
    uuid = await book.add(replace(_NOBODY, enabled=False), fields)
    await book.delete(uuid)


async def missing_rights(api: Api) -> tuple[str, ...]:
    """Return the rights that are of use and that the user lacks."""
    missing = []
    for part, path in _OPTIONAL.items():
        try:
            await api.read(path)
        except MissingRightsError:
            missing.append(RIGHTS[part])
    return tuple(missing)
