"""Removing a section, or switching it on or off, so that it is really so, and nothing else."""

from collections.abc import Sequence

from ..errors import NotAppliedError, NotClosedError, Refusal, RuleChangedError
from ..model import EVERY_PORT, PortMapping
from ..refusals import not_permitted
from .changes import Configuration, Edit
from .clock import RouterClock
from .conflict import check_free
from .router_state import RouterState
from .sections import Section, is_forward, is_pinhole, owner_of, read_mapping


async def remove(configuration: Configuration, state: RouterState, mapping: PortMapping) -> None:
    """Delete the section of `mapping`, if it still is that, and make sure that it is gone.

    Raises NotClosedError when the router still has it, and what `change` raises.
    """
    clock = await state.clock()
    deleted: list[Section] = []

    def edits(sections: Sequence[Section]) -> list[Edit]:
        section = find(mapping, sections, clock)
        if section is None:
            return []
        deleted[:] = [section]
        return [Edit(name=section.name, type=section.type, before=section, options=None)]

    await configuration.change(edits)
    sections = await configuration.read()
    if find(mapping, sections, clock) is not None:
        raise NotClosedError(port=str(mapping.external_ports))
    # Also where there was nothing to delete: the firewall may not have loaded it yet.
    if not _stands_elsewhere(mapping, sections, clock):
        await state.until_gone(mapping, deleted[0].text("src") if deleted else state.zone_name)


async def switch(
    configuration: Configuration, state: RouterState, mapping: PortMapping, *, enabled: bool
) -> PortMapping:
    """Switch a section on or off and keep all else of it; return it as read back.

    Raises RuleChangedError when it is not there any more as `mapping` shows it,
    and PortConflictError when another one has its port.
    """
    clock = await state.clock()
    changed: list[Section] = []

    def edits(sections: Sequence[Section]) -> list[Edit]:
        section = _found(mapping, sections, clock)
        if enabled:
            _check_may_open(mapping, section, sections, clock)
        changed[:] = [section]
        if section.enabled is enabled:
            return []
        options = {**section.options, "enabled": "1" if enabled else "0"}
        return [Edit(name=section.name, type=section.type, before=section, options=options)]

    await configuration.change(edits)
    sections = await configuration.read()
    section = find(mapping, sections, clock)
    if section is None:
        if enabled and not changed[0].enabled:
            await _switch_off_again(configuration, changed[0].name)
        raise RuleChangedError(port=str(mapping.external_ports))
    row = read_mapping(section, clock)
    if row is None or section.enabled is not enabled:
        raise NotAppliedError(host=state.host, detail=f"the rule {section.name} is as before")
    if enabled and row.enabled:
        await state.until_rendered([(row, section)])
    elif not enabled and not _stands_elsewhere(row, sections, clock):
        await state.until_gone(row, section.text("src"))
    return row


async def _switch_off_again(configuration: Configuration, name: str) -> None:
    """Switch off a section that was edited while we switched it on: it is another rule now."""

    def edits(sections: Sequence[Section]) -> list[Edit]:
        return [
            Edit(
                name=name,
                type=section.type,
                before=section,
                options={**section.options, "enabled": "0"},
            )
            for section in sections
            if section.name == name and section.enabled
        ]

    await configuration.change(edits)


def find(mapping: PortMapping, sections: Sequence[Section], clock: RouterClock) -> Section | None:
    """Return the section that `mapping` was read from or written as, None if it is not there.

    Names of sections that have none are numbers, which shift when one before
    them goes: a name alone may mean another rule now. Such a rule is known by
    what it does, if just one does that.
    """
    named = next((section for section in sections if section.name == mapping.id), None)
    if named is not None and _is_same(mapping, named, clock):
        return named
    if owner_of(mapping.id) is not None:
        return None
    same = [section for section in sections if _is_same(mapping, section, clock)]
    return same[0] if len(same) == 1 and same[0].owner is None else None


def _found(mapping: PortMapping, sections: Sequence[Section], clock: RouterClock) -> Section:
    section = find(mapping, sections, clock)
    if section is None:
        raise RuleChangedError(port=str(mapping.external_ports))
    return section


def _is_same(mapping: PortMapping, section: Section, clock: RouterClock) -> bool:
    if not (is_pinhole if mapping.is_pinhole else is_forward)(section):
        return False
    row = read_mapping(section, clock)
    return row is not None and row.same_rule(mapping)


def _stands_elsewhere(
    mapping: PortMapping, sections: Sequence[Section], clock: RouterClock
) -> bool:
    """Tell whether another section does just the same: its rules cannot be told apart."""
    return any(_is_same(mapping, section, clock) for section in sections if section.enabled)


def _check_may_open(
    mapping: PortMapping, section: Section, sections: Sequence[Section], clock: RouterClock
) -> None:
    """Refuse to switch on what opens every port, or a port that another one has."""
    if mapping.external_ports == EVERY_PORT:
        raise not_permitted(Refusal.ALL_PORTS_ONLY, mapping)
    others = [other for other in sections if other.name != section.name]
    check_free(mapping, section.text("src"), others, clock)
