"""Reading and changing the rules of one firewall, each change put into force and looked at.

Savepoints are not used: 26.7 has none any more.
"""

from collections import Counter
from collections.abc import Callable

from ..errors import InvalidForwardError, NotAppliedError, NotClosedError, ProtocolError
from ..model import PortMapping
from ..transport import DroppedError
from .api import D_NAT, Api, Reply, short
from .rule import Fields, Rule, nested, read_rules

APPLY_TIMEOUT = 60.0
"""Seconds: the whole rule set is made and loaded anew."""

_ALL = {"current": 1, "rowCount": -1, "searchPhrase": ""}
_TRIES = 2


class RuleBook:
    """The destination NAT rules of one firewall."""

    def __init__(self, api: Api, *, apply_timeout: float = APPLY_TIMEOUT) -> None:
        """Take the way to it."""
        self._api = api
        self._apply_timeout = apply_timeout

    async def rules(self) -> tuple[Rule, ...]:
        """Return every rule in its order, the automatic ones too."""
        reply = await self._api.read(f"{D_NAT}/searchRule", _ALL)
        if not isinstance(reply.get("rows"), list):
            raise ProtocolError(host=self._api.host, detail="searchRule: no rows")
        return tuple(read_rules(reply["rows"]))

    async def add(self, wanted: PortMapping, fields: Fields) -> str:
        """Ask for a rule, once, and return its id. It is not in force before `apply`."""
        reply = await self._api.write(f"{D_NAT}/addRule", {"rule": nested(fields)})
        if validations := reply.get("validations"):
            messages = validations.values() if isinstance(validations, dict) else [validations]
            raise InvalidForwardError(
                port=str(wanted.external_ports),
                host=wanted.internal_host,
                detail=short(" ".join(map(_text, messages))),
            )
        self._expect(reply, "addRule", "saved")
        return str(reply.get("uuid", ""))

    async def toggle(self, uuid: str, *, enabled: bool) -> None:
        """Switch a rule on or off; it is not in force before `apply`."""
        reply = await self._api.write(f"{D_NAT}/toggleRule/{uuid}/{'0' if enabled else '1'}")
        self._expect(reply, "toggleRule", "Enabled" if enabled else "Disabled")

    async def apply(self) -> None:
        """Put what is saved into force, whoever saved it; raises NotAppliedError."""
        path = f"{D_NAT}/apply"
        try:
            reply = await self._api.write(path, timeout=self._apply_timeout)
        except DroppedError:
            # Once more does no harm.
            reply = await self._api.write(path, timeout=self._apply_timeout)
        status = short(reply.get("status", ""))
        if not status.upper().startswith("OK"):
            raise NotAppliedError(host=self._api.host, detail=status or "no answer")

    async def remove(self, port: str, is_ours: Callable[[Rule], bool]) -> None:
        """Delete every rule that `is_ours` says so of, and make sure.

        The list is read anew before each: what an id named a moment ago may
        have been edited since. It is applied in any case, because a rule that
        is not there may have been deleted without being taken out of force.
        Raises NotClosedError.
        """
        tries: Counter[str] = Counter()
        while rule := next(filter(is_ours, await self.rules()), None):
            if tries[rule.uuid] == _TRIES:
                raise NotClosedError(port=port)
            tries[rule.uuid] += 1
            try:
                await self.delete(rule.uuid)
            except DroppedError:
                # It may have been carried out: the next look tells.
                if tries[rule.uuid] == _TRIES:
                    raise
        await self.apply()

    async def delete(self, uuid: str) -> None:
        """Delete a rule, once; it is in force until `apply`. One that is not there is fine."""
        reply = await self._api.write(f"{D_NAT}/delRule/{uuid}")
        self._expect(reply, "delRule", "deleted", "not found")

    def _expect(self, reply: Reply, action: str, *results: str) -> None:
        if (result := reply.get("result")) not in results:
            detail = f"{action}: {short(result) or 'no result'}"
            raise ProtocolError(host=self._api.host, detail=detail)


def _text(message: object) -> str:
    return " ".join(map(str, message)) if isinstance(message, list) else str(message)
