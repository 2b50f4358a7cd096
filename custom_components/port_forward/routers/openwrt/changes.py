"""Changing /etc/config/firewall: what is sent, tried, confirmed, and taken back on failure.

Every change goes through rpcd's `apply` with `rollback`: unless it is
confirmed, the router takes it back by itself. Only one such change is tried at
a time on a router, be it ours or that of somebody in LuCI.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import (
    MissingRightsError,
    NotAppliedError,
    ProtocolError,
    RouterBusyError,
    RouterError,
    RouterUnreachableError,
)
from .sections import Options, Section, check_narrow, read_sections
from .ubus import NO_DATA, PERMISSION_DENIED, SessionLostError, StatusError, Ubus

PATIENCE: Final = 20.0
"""Seconds: how long the router waits for our confirmation, and we for somebody else's."""

_PAUSE = 0.5
_CONFIG: Final = "firewall"

type Request = tuple[str, dict[str, object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """What is to become of one section: `options` are all it shall have, None to delete it."""

    name: str
    type: str
    before: Section | None
    options: Options | None

    def requests(self) -> Iterator[Request]:
        """Iterate over the calls of `uci` that it takes; none where it is like that already."""
        before = self.before
        if self.options is None:
            if before is not None:
                yield "delete", {"section": self.name}
            return
        check_narrow(self.type, self.options)
        if before is not None and before.type != self.type:
            yield "delete", {"section": self.name}
            before = None
        if before is None:
            # One of that name would be merged into, so there must be none: it was looked for.
            yield "add", {"type": self.type, "name": self.name, "values": dict(self.options)}
            return
        changed = {k: v for k, v in self.options.items() if before.options.get(k) != v}
        if dropped := [key for key in before.options if key not in self.options]:
            yield "delete", {"section": self.name, "options": dropped}
        if changed:
            yield "set", {"section": self.name, "values": changed}


type Plan = Callable[[Sequence[Section]], Sequence[Edit]]
"""Takes the sections as they are, and says what is to become of them; may raise RouterError."""


class _OvertakenError(RouterBusyError):
    """Somebody has applied since we looked (host): what we wrote was thought of before."""


class Configuration:
    """The firewall's configuration on the router."""

    def __init__(self, ubus: Ubus, *, patience: float = PATIENCE) -> None:
        """Take the bus; see `PATIENCE`."""
        self._ubus = ubus
        self._patience = patience

    async def read(self) -> tuple[Section, ...]:
        """Return all sections as they are committed.

        What a session sees includes its own changes, so it must have none: some
        may have come back to it when the router took back what was not confirmed.
        """
        for _ in range(2):
            data = await self._ubus.read("uci", "changes", config=_CONFIG)
            if not data.get("changes"):
                sections = await self._ubus.read("uci", "get", config=_CONFIG)
                return tuple(read_sections(sections.get("values")))
            await self._discard()
        raise RouterBusyError(host=self._ubus.host)

    async def change(self, plan: Plan) -> None:
        """Do what `plan` says of the sections, all of it or nothing, and put it into force.

        A session may end at any moment, and what was sent in it is lost then:
        what is still missing is sent once more. So it is when somebody was
        faster, who may have changed the very section. Raises RouterBusyError
        while somebody else has not confirmed a change, and NotAppliedError when
        ours cannot be.
        """
        for may_try_again in (True, False):
            await self._wait_for_others()
            requests = [r for edit in plan(await self.read()) for r in edit.requests()]
            try:
                if not requests or await self._write(requests):
                    return
            except _OvertakenError:
                if not may_try_again:
                    raise
            except SessionLostError as error:
                if not may_try_again:
                    raise MissingRightsError(host=self._ubus.host, detail=error.call) from None
        raise self._not_confirmed()

    async def _write(self, requests: Sequence[Request]) -> bool:
        """Send the requests and put them into force; tell whether that is known to be for good."""
        try:
            for function, args in requests:
                await self._ubus.call_in_session("uci", function, config=_CONFIG, **args)
            return await self._apply()
        except RouterUnreachableError:
            # To say so to a router that is silent takes as long again; it forgets by itself.
            self._ubus.forget()
            raise
        except RouterError:
            await self._discard()
            raise
        except BaseException:
            self._ubus.forget()
            raise

    async def _apply(self) -> bool:
        """Put the changes of the session into force; tell whether they were confirmed."""
        lost: RouterError | None = None
        try:
            await self._try()
        except StatusError as error:
            if error.status == NO_DATA:
                return False  # Somebody made the very same change.
            raise
        except SessionLostError, RouterBusyError:
            raise
        except (RouterUnreachableError, ProtocolError) as error:
            lost = error  # It may have been carried out, which the confirmation tells.
        confirmed = await self._confirm()
        if lost and not confirmed:
            raise lost
        return confirmed

    async def _try(self) -> None:
        """Apply, to be taken back unless it is confirmed."""
        try:
            await self._ubus.call_in_session(
                "uci", "apply", rollback=True, timeout=max(1, round(self._patience))
            )
        except StatusError as error:
            if error.status == PERMISSION_DENIED:
                raise _OvertakenError(host=self._ubus.host) from None
            raise

    async def _confirm(self) -> bool:
        """Confirm until there is nothing to confirm any more; tell whether that did it.

        A router that says yes and has something to be confirmed all the same
        takes it back after a while.
        """
        # A little longer than the router waits: then it is known what it has done.
        end = asyncio.get_running_loop().time() + self._patience + 2 * _PAUSE
        times = 0
        while True:
            try:
                await self._ubus.call("uci", "confirm")
            except StatusError as error:
                if error.status == NO_DATA:
                    return times == 1
                failure: RouterError = self._not_confirmed()
            except (RouterUnreachableError, RouterBusyError) as error:
                failure = error
            except ProtocolError:
                failure = self._not_confirmed()
            else:
                failure = self._not_confirmed()
                times += 1
                if times == 1:
                    continue
            await self._pause(end, failure)

    async def _wait_for_others(self) -> None:
        """Wait until nobody's change is waiting to be confirmed: it may still be taken back.

        Confirming tells: where it is ours, from before the connection broke,
        that is what was wanted.
        """
        end = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                await self._ubus.read("uci", "confirm")
            except StatusError as error:
                if error.status == NO_DATA:
                    return
                await self._pause(end, RouterBusyError(host=self._ubus.host))
            except RouterBusyError as error:
                await self._pause(end, error)
            else:
                # Once more: now there should be nothing.
                await self._pause(end, self._not_confirmed())

    async def _pause(self, end: float, failure: RouterError) -> None:
        """Wait a moment, or raise when the end has come."""
        remaining = end - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise failure
        await asyncio.sleep(min(_PAUSE, remaining))

    async def _discard(self) -> None:
        """Drop the changes of our session, and the session with whatever could come back to it.

        Stock LuCI grants neither. The session is forgotten then, and its
        changes with it: nobody else sees them, and it ends after a while.
        """
        if self._ubus.has_session:
            await self._quietly("uci", "revert", config=_CONFIG)
            await self._quietly("session", "destroy")
        self._ubus.forget()

    async def _quietly(self, name: str, function: str, /, **args: object) -> None:
        if self._ubus.rights.may_call(name, function):
            try:
                await self._ubus.call_in_session(name, function, **args)
            except RouterError:
                return  # The failure that led here is the one to be told.

    def _not_confirmed(self) -> NotAppliedError:
        return NotAppliedError(host=self._ubus.host, detail="the change could not be confirmed")
