"""Opening one forward: its rules are in force afterwards, or none that this made."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from ..errors import (
    NotMappedError,
    ProtocolError,
    RouterError,
    RouterTimeoutError,
)
from ..model import PortMapping
from ..rule_texts import owner_of, rule_id_of
from ..tag import owner_in
from ..transport import DroppedError
from .conflict import check_free
from .rule import Rule, fields_of
from .rulebook import RuleBook


class Opening:
    """One call of `open`, and what it made so far."""

    def __init__(
        self,
        book: RuleBook,
        interface: str,
        address: IPv4Address | None,
        ours: Collection[PortMapping],
        in_force: Collection[str],
    ) -> None:
        """Take what `open` knows; `in_force` are rules that were applied, by their id."""
        self._book = book
        self._interface = interface
        self._address = address
        self._ours = ours
        self._in_force = in_force
        # What was there before is not taken back, whatever its tag says.
        self._before: set[str] = set()
        self._made: list[PortMapping] = []
        # What may still come to be saved, because no answer came in time.
        self._unanswered: list[PortMapping] = []

    async def run(self, plan: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
        """Make every rule of `plan` and return the mappings as read back."""
        rules = await self._book.rules()
        self._before = {rule.uuid for rule in rules}
        standing = [self._standing(wanted, rules) for wanted in plan]
        ours = {rule.uuid for rule in rules if any(self._is_ours(rule, w) for w in plan)}
        for wanted in plan:
            others = (rule for rule in rules if rule.uuid not in ours)
            check_free(wanted, self._interface, self._address, others)
        kept = {rule.uuid for rule in standing if rule}
        if ours - kept:
            # Made for what the forward was before, or changed since.
            await self._remove(
                plan[0], lambda r: r.uuid in ours - kept and self._unchanged(r, plan)
            )
        try:
            for wanted, rule in zip(plan, standing, strict=True):
                if rule is None:
                    await self._add(wanted)
            if self._made or not kept <= set(self._in_force):
                await self._book.apply()
            return await self._verify(plan)
        except RouterError as error:
            await self._roll_back(error)
            raise

    def _standing(self, wanted: PortMapping, rules: Sequence[Rule]) -> Rule | None:
        """Return the rule that is just as wanted already, if it is ours."""
        return next(
            (r for r in rules if self._is_ours(r, wanted) and self._is_as_wanted(r, wanted)), None
        )

    def _is_as_wanted(self, rule: Rule, wanted: PortMapping) -> bool:
        return rule.has(_limits(wanted, self._interface))

    def _is_ours(self, rule: Rule, wanted: PortMapping) -> bool:
        """Tell whether the ledger knows the rule, or its tag and all that it does say so."""
        mapping = rule.mapping
        if mapping is None:
            return False
        if is_tagged_like(rule, wanted) and mapping.same_rule(wanted):
            return True
        return any(
            known.same_rule(mapping)
            and rule_id_of(known) in (rule.uuid, "")
            and (rule_id_of(known) or is_tagged_like(rule, wanted))
            for known in self._ours
        )

    def _unchanged(self, rule: Rule, plan: Sequence[PortMapping]) -> bool:
        return any(self._is_ours(rule, wanted) for wanted in plan)

    async def _add(self, wanted: PortMapping) -> None:
        """Ask for the rule. When the connection breaks, look before asking again."""
        fields = fields_of(wanted, self._interface)
        try:
            await self._add_once(wanted, fields)
        except DroppedError:
            if self._new(wanted, await self._book.rules()) is None:
                await self._add_once(wanted, fields)

    async def _add_once(self, wanted: PortMapping, fields: dict[str, str]) -> None:
        try:
            await self._book.add(wanted, fields)
        except (RouterTimeoutError, DroppedError, ProtocolError) as error:
            # Whatever is not a clear no may have been carried out.
            self._made.append(wanted)
            if isinstance(error, RouterTimeoutError):
                self._unanswered.append(wanted)
            raise
        self._made.append(wanted)

    def _new(self, wanted: PortMapping, rules: Sequence[Rule]) -> Rule | None:
        return next((rule for rule in rules if self._made_here(rule, wanted)), None)

    def _made_here(self, rule: Rule, wanted: PortMapping) -> bool:
        return rule.uuid not in self._before and is_tagged_like(rule, wanted)

    async def _verify(self, plan: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
        """Return what stands now, or say what came of it instead."""
        rules = await self._book.rules()
        granted: list[Rule] = []
        for wanted in plan:
            rule = self._standing(wanted, rules)
            if rule is None:
                raise NotMappedError(port=str(wanted.external_ports))
            granted.append(rule)
        # Somebody may have been faster in the meantime: then theirs decides.
        first = {rule.uuid for rule in granted}
        others = [rule for rule in rules if rule.uuid not in first]
        for wanted in plan:
            check_free(wanted, self._interface, self._address, self._not_ours(others, plan))
        return tuple(mapping for rule in granted if (mapping := rule.mapping))

    def _not_ours(self, rules: Sequence[Rule], plan: Sequence[PortMapping]) -> list[Rule]:
        """Leave out our own made twice: they lead where they should, and are closed together."""
        return [rule for rule in rules if not self._unchanged(rule, plan)]

    async def _roll_back(self, error: RouterError) -> None:
        """Take back what this call made; what may still stand is told in `error.left`."""
        if not self._made:
            return
        # Without the description, which would let a rule of the user's be closed in its place.
        made = tuple(replace(wanted, description="") for wanted in self._made)
        try:
            await self._remove(made[0], lambda r: any(self._made_here(r, w) for w in self._made))
        except RouterError:
            error.left = made
        else:
            error.left = tuple(replace(wanted, description="") for wanted in self._unanswered)

    async def _remove(self, wanted: PortMapping, is_ours: Callable[[Rule], bool]) -> None:
        await self._book.remove(str(wanted.external_ports), is_ours)


def is_tagged_like(rule: Rule, mapping: PortMapping) -> bool:
    """Return whether a rule carries the tag of the forward that `mapping` is for.

    One from the ledger has no description. What it was planned with is in its
    id; once that is the one of its rule, any tag on this very rule will do.
    """
    tag = owner_in(rule.description)
    if wanted := owner_in(mapping.description) or owner_of(mapping):
        return wanted.has_made(tag)
    return tag is not None and rule_id_of(mapping) in (rule.uuid, "")


def _limits(wanted: PortMapping, interface: str) -> dict[str, str]:
    """Return the fields that decide who gets where; people may change the others."""
    fields = fields_of(wanted, interface)
    return {key: fields[key] for key in fields if key not in ("log", "descr", "natreflection")}
