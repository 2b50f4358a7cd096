"""What a router is asked for a forward: our rules are made and deleted, adopted ones switched."""

from datetime import timedelta

from ..routers.errors import (
    NotClosedError,
    NotMappedError,
    RouterError,
    RuleChangedError,
)
from ..routers.model import Forward, PortMapping, Snapshot
from ..routers.router import Router
from .opening import Opening, Phase


def planned(router: Router, forward: Forward) -> tuple[PortMapping, ...]:
    """Return the mappings that opening `forward` will ask for; raises what `Router.plan` does."""
    return (forward.adopted,) if forward.adopted else router.plan(forward)


async def make(
    router: Router, asked: Opening, held: Opening | None, lease: timedelta
) -> tuple[PortMapping, ...]:
    """Make the mappings of `asked`, or renew those of `held`; return them as read back.

    Raises RouterError, whose `left` says what it could not take back.
    """
    if asked.forward.adopted:
        is_open = held is not None and held.phase is Phase.OPEN
        return (await _switch_on(router, asked.mappings[0], is_open=is_open),)
    return await router.open(
        asked.forward, lease, planned=asked.mappings, ours=held.mappings if held else ()
    )


async def unmake(router: Router, forward: Forward, mapping: PortMapping) -> PortMapping | None:
    """Make sure that `mapping` is open no more; return what is left of it: a rule that is off."""
    if forward.adopted:
        return await _switch_off(router, mapping)
    await router.close(mapping)
    return None


async def _switch_on(router: Router, rule: PortMapping, *, is_open: bool) -> PortMapping:
    """Switch a rule of the user's on.

    The look before it tells how the rule was, and fails where the router is
    silent: then nothing was done that had to be taken back.
    """
    before = _find(await router.snapshot((rule,)), rule)
    if before is None:
        raise RuleChangedError(port=str(rule.external_ports))
    if before.enabled and is_open:
        return before
    try:
        after = await router.set_enabled(rule, enabled=True)
        if not after.enabled:
            # It has a time of its own, and that is over.
            raise NotMappedError(port=str(rule.external_ports))
    except RouterError as error:
        if not before.enabled:
            error.left = await _left_on(router, rule)
        raise
    return after


async def _left_on(router: Router, rule: PortMapping) -> tuple[PortMapping, ...]:
    """Switch a rule off that could not be switched on: whether it is on is not known."""
    try:
        await _switch_off(router, rule)
    except RouterError:
        return (rule,)
    return ()


async def _switch_off(router: Router, rule: PortMapping) -> PortMapping | None:
    """Switch a rule of the user's off, and return it; None if it is gone or another one by now."""
    try:
        return await router.set_enabled(rule, enabled=False)
    except RuleChangedError:
        found = _find(await router.snapshot((rule,)), rule)
        if found and found.enabled and found.id == rule.id:
            # Somebody else was saving it at this very moment.
            raise NotClosedError(port=str(rule.external_ports)) from None
        return found


def _find(snapshot: Snapshot, rule: PortMapping) -> PortMapping | None:
    """Return the row of a rule, or one that does just the same: some ids are mere numbers."""
    alike = [row for row in snapshot.mappings if row.same_rule(rule)]
    return max(alike, key=lambda row: (row.id == rule.id, row.enabled), default=None)
