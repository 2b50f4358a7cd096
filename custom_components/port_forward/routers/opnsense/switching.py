"""Switching a rule of the user's on and off, with all its other fields left as they are."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from ..errors import NotClosedError, NotMappedError, Refusal, RuleChangedError
from ..model import PortMapping
from ..refusals import not_permitted
from .conflict import check_free
from .rule import Rule
from .rulebook import RuleBook


async def switch(
    book: RuleBook,
    mapping: PortMapping,
    interface: str,
    address: IPv4Address | None,
    *,
    enabled: bool,
) -> PortMapping:
    """Switch the rule that `mapping.id` names, apply, and return it as read back.

    `interface` and `address` are as for `conflict.check_free`. It is applied in
    any case: what is saved may not be in force.
    """
    rules = await book.rules()
    try:
        rule = _named(rules, mapping)
    except RuleChangedError:
        if not enabled:
            # Deleted or edited, it is in force as it was until somebody applies that.
            await book.apply()
        raise
    if enabled:
        if rule.is_for_any_protocol:
            detail = "its rule is for all other protocols too"
            raise not_permitted(Refusal.REFUSED, mapping, detail)
        others = (other for other in rules if other.uuid != rule.uuid)
        check_free(mapping, interface, address, others)
    if rule.enabled is not enabled:
        await book.toggle(rule.uuid, enabled=enabled)
        if enabled:
            await _check_unchanged(book, mapping)
    await book.apply()
    after = _named(await book.rules(), mapping)
    if after.enabled is not enabled:
        kind = NotMappedError if enabled else NotClosedError
        raise kind(port=str(mapping.external_ports))
    return replace(mapping, enabled=enabled, description=after.description)


async def _check_unchanged(book: RuleBook, mapping: PortMapping) -> None:
    """Make sure that what was switched on is the rule that was meant, before it is in force.

    One that was edited since we looked goes back to being off. Raises RuleChangedError.
    """
    rules = await book.rules()
    try:
        _named(rules, mapping)
    except RuleChangedError:
        if any(rule.uuid == mapping.id and rule.enabled for rule in rules):
            await book.toggle(mapping.id, enabled=False)
        raise


def _named(rules: Sequence[Rule], mapping: PortMapping) -> Rule:
    """Return the rule of that id if it is still the one that it was."""
    for rule in rules:
        found = rule.mapping
        if rule.uuid == mapping.id and found and found.same_rule(mapping):
            return rule
    raise RuleChangedError(port=str(mapping.external_ports))
