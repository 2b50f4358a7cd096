"""Opening one forward: all of its rules stand afterwards, or none that this made."""

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import timedelta

from ..errors import (
    AuthenticationFailedError,
    InvalidForwardError,
    MissingRightsError,
    NotMappedError,
    Refusal,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
)
from ..model import Forward, PortMapping
from ..refusals import conflict, named, not_permitted
from ..rule_texts import rule_id_of
from ..transport import DroppedError, NotConnectedError
from .admission import Admission
from .removal import remove
from .rest import ID, Rest, RestError, Row
from .rules import (
    FILTER6,
    NAT,
    Rule,
    first_drop,
    is_in_the_way,
    is_ours,
    is_pinhole_for,
    list_of,
    names_target,
    reached,
    read_row,
    rule_for,
)
from .table import read_filter6_rows
from .wan import Wan


class Opening:
    """One call of `open`, and what it made so far.

    The rules come first and the addresses in their list last: until then the
    rules match nobody, so that all of them open at the same moment, and only
    after each was read back.
    """

    def __init__(  # noqa: PLR0913  what `open` was called with, and the driver's memory
        self,
        rest: Rest,
        wan: Wan,
        *,
        forward: Forward,
        lease: timedelta,
        ours: Collection[PortMapping],
        learned: MutableMapping[str, str],
    ) -> None:
        """Take what `open` was called with, and the driver's memory to add to."""
        self._rest = rest
        self._wan = wan
        self._forward = forward
        self._lease = lease
        self._ours = ours
        self._learned = learned
        # What the router may hold because of this call and did not before.
        self._made: list[PortMapping] = []
        # What it was asked for without an answer, and may still come to do.
        self._unanswered: list[PortMapping] = []

    async def run(self, plan: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
        """Make every mapping of `plan` and return them as read back."""
        rules = [rule_for(mapping, self._wan) for mapping in plan]
        menus = list(dict.fromkeys(rule.path for rule in rules))
        held: dict[str, str] = {}
        for path in menus:
            held |= await self._claim(path, [rule for rule in rules if rule.path == path])
        added = {rule.mapping.key for rule in rules} - held.keys()
        try:
            for rule in rules:
                if rule.mapping.key in added:
                    held[rule.mapping.key] = await self._add(rule)
            granted = [
                await self._verify(rule, held[rule.mapping.key], is_new=rule.mapping.key in added)
                for rule in rules
            ]
            # From here on also rules that stood before may let somebody in by this call.
            for rule in rules:
                if not any(rule.mapping.same_rule(known) for known in self._ours):
                    self._note_made(rule.mapping)
            leases = {
                path: await self._admission(path).grant(
                    self._forward.allowed_source,
                    self._lease,
                    port=str(self._forward.external_ports),
                )
                for path in menus
            }
            # It lets somebody in only now: what was edited meanwhile must not pass for ours.
            for rule in rules:
                if rule.mapping.key in added:
                    await self._check_unchanged(rule, held[rule.mapping.key])
        except RouterError as error:
            await self._roll_back(error)
            raise
        return tuple(
            replace(mapping, lease=leases[rule.path])
            for mapping, rule in zip(granted, rules, strict=True)
        )

    async def _claim(self, path: str, rules: Sequence[Rule]) -> dict[str, str]:
        """Make sure that nobody else holds what is wanted; return the ids of what we hold.

        A rule of ours that is not as it has to be any more goes, to come anew.
        """
        rows = await self._rows(path)
        ours = [row for row in rows if self._is_ours(row, rules)]
        held: dict[str, str] = {}
        for rule in rules:
            row = next((row for row in ours if rule.is_held_as(row)), None)
            if row is not None and self._has_effect(rule, rows, row):
                held[rule.mapping.key] = row[ID]
                continue
            if other := self._in_the_way(rule, [row for row in rows if row not in ours]):
                raise conflict(rule.mapping, _describe(other))
            self._place(rule, rows)
        for row in ours:
            if row[ID] not in held.values():
                await self._rest.remove(path, row[ID])
        return held

    def _is_ours(self, row: Row, rules: Sequence[Rule]) -> bool:
        """Tell whether a row was made for this forward, and leads where that does or did.

        Somebody may have made another rule of it, tag and all: that is theirs.
        """
        known = [mapping for mapping in self._ours if rule_id_of(mapping) in ("", row[ID])]
        return any(is_ours(row, mapping) for mapping in (*(rule.mapping for rule in rules), *known))

    def _in_the_way(self, rule: Rule, rows: Sequence[Row]) -> Row | None:
        if rule.path == NAT:
            found = (row for row in reached(rows, self._wan) if is_in_the_way(row, rule.mapping))
        else:
            found = (row for row in rows if is_pinhole_for(row, rule.mapping, self._wan))
        return next(found, None)

    def _has_effect(self, rule: Rule, rows: Sequence[Row], row: Row) -> bool:
        """Tell whether a rule stands before the one that drops all the rest."""
        drop = None if rule.path == NAT else first_drop(rows, rule.mapping, self._wan)
        return drop is None or rows.index(row) < rows.index(drop)

    def _place(self, rule: Rule, rows: Sequence[Row]) -> Mapping[str, str]:
        """Return where a rule has to go. Raises PortConflictError where it could have no effect.

        A rule of NAT goes to the end, in front of nothing. A pinhole there
        would come after the rule that drops all that nobody has let in, and do
        nothing: it goes right before that one, and so behind every other rule
        of the user's. A rule that drops this very port or host is the user's
        wish, and stays in front.
        """
        drop = None if rule.path == NAT else first_drop(rows, rule.mapping, self._wan)
        if drop is None:
            return {}
        if names_target(drop):
            raise conflict(rule.mapping, _describe(drop))
        return {"place-before": drop[ID]}

    async def _add(self, rule: Rule) -> str:
        """Add a rule and return its id. When the connection breaks, look before asking again."""
        try:
            return await self._add_once(rule)
        except DroppedError:
            rows = await self._rows(rule.path)
            found = next((row for row in rows if rule.is_held_as(row)), None)
            return found[ID] if found else await self._add_once(rule)

    async def _add_once(self, rule: Rule) -> str:
        """Ask once; whatever is not a clear no may have been carried out."""
        place = self._place(rule, await self._rows(rule.path)) if rule.path == FILTER6 else {}
        try:
            added = await self._rest.add(rule.path, {**rule.values, **place})
        except RestError as error:
            raise _explain(error, rule.mapping) from error
        except NotConnectedError, AuthenticationFailedError, MissingRightsError:
            raise
        except RouterError as error:
            self._note_made(rule.mapping)
            if isinstance(error, RouterTimeoutError):
                self._unanswered.append(rule.mapping)
            raise
        self._note_made(rule.mapping)
        return added

    def _note_made(self, mapping: PortMapping) -> None:
        if mapping not in self._made:
            self._made.append(mapping)

    async def _verify(self, rule: Rule, row_id: str, *, is_new: bool) -> PortMapping:
        """Return what the router made of it: just that, and no wider.

        Somebody may have added a rule since we looked: what stands before ours
        decides, and our switch would show as open what leads elsewhere.
        """
        rows = await self._rows(rule.path)
        row = next((row for row in rows if row[ID] == row_id), None)
        if row is None or not rule.is_held_as(row) or not self._has_effect(rule, rows, row):
            raise NotMappedError(port=str(rule.mapping.external_ports))
        if is_new and (other := self._in_the_way(rule, rows[: rows.index(row)])):
            raise conflict(rule.mapping, _describe(other))
        read = next((read for read in read_row(row) if read.same_rule(rule.mapping)), None)
        if read is None:
            raise NotMappedError(port=str(rule.mapping.external_ports))
        return read

    async def _check_unchanged(self, rule: Rule, row_id: str) -> None:
        row = await self._rest.row(rule.path, row_id)
        if row is None or not rule.is_held_as(row):
            raise NotMappedError(port=str(rule.mapping.external_ports))

    def _admission(self, path: str) -> Admission:
        version = 4 if path == NAT else 6
        return Admission(self._rest, list_of(self._forward.owner), version, self._learned)

    async def _roll_back(self, error: RouterError) -> None:
        """Take back what this call made; what may still stand is told in `error.left`."""
        left = list(self._made)
        for mapping in reversed(self._made):
            try:
                gone = await remove(self._rest, self._wan, mapping, ours_only=True)
            except RouterUnreachableError:
                # The others would take just as long to fail.
                break
            except RouterError:
                continue
            if gone or mapping not in self._unanswered:
                left.remove(mapping)
        error.left = tuple(left)

    async def _rows(self, path: str) -> Sequence[Row]:
        rows = (
            await read_filter6_rows(self._rest, self._learned)
            if path == FILTER6
            else (await self._rest.rows(path))
        )
        return [row for row in rows if ID in row]


def _describe(row: Row) -> str:
    """Return a rule in the way as the user knows it."""
    target = ":".join(filter(None, (row.get("to-addresses"), row.get("to-ports"))))
    return named(target or row.get("action", "?"), row.get("comment"))


def _explain(error: RestError, wanted: PortMapping) -> RouterError:
    """Return what it means that the router refuses a rule."""
    detail = error.placeholders["detail"]
    if error.is_unknown_menu:
        return not_permitted(Refusal.NO_IPV6, wanted, detail)
    port, host = str(wanted.external_ports), wanted.internal_host
    return InvalidForwardError(port=port, host=host, detail=detail)
