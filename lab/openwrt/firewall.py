"""The firewall at work: rules as they were last loaded, and the relays behind them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from lab.relays import Relays
from lab.virtual_router.mapping import VirtualMapping

from .clock import Clock
from .fw4 import Rule, render
from .uci import Package

MOST_PORTS = 64
"""Ports of one rule that get a relay; a rule for more, or for all, has none."""


class Firewall:
    """What decides about packets that come from the internet."""

    def __init__(
        self, package: Callable[[], Package], clock: Clock, *, host: str, delay: float
    ) -> None:
        """Read `package` at each reload; `delay` is how many seconds procd waits before one."""
        self._package = package
        self._clock = clock
        self._delay = delay
        self._relays = Relays(host, self._decide)
        self._pending: set[asyncio.Task[None]] = set()
        self.rules: tuple[Rule, ...] = ()

    @property
    def relays(self) -> Relays:
        """The relays, with the connections that go through them."""
        return self._relays

    async def config_changed(self) -> None:
        """Load the rules anew, at once or after a while."""
        if not self._delay:
            await self.reload()
            return
        task = asyncio.get_running_loop().create_task(self._reload_later())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def reload(self) -> None:
        """Make the rules of what is committed; the counters begin anew."""
        rules = tuple(
            rule if rule.until is None else replace(rule, until=self._clock.meant_by(rule.until))
            for rule in render(self._package())
        )
        wanted = {
            (rule.protocol.upper(), port)
            for rule in rules
            if rule.redirect and rule.ports and rule.ports[1] - rule.ports[0] < MOST_PORTS
            if rule.protocol in ("tcp", "udp")
            for port in range(rule.ports[0], rule.ports[1] + 1)
        }
        await self._relays.listen(wanted)
        # Last: whoever sees a rule finds that it works.
        self.rules = rules

    async def close(self) -> None:
        """Leave nothing behind."""
        for task in self._pending:
            task.cancel()
        if self._pending:
            await asyncio.wait(self._pending)
        await self._relays.close()

    def opens(self, host: str, protocol: str, port: int, source: str) -> bool:
        """Tell whether a new packet from the internet reaches this host over IPv6."""
        now = self._clock.now()
        for rule in self.rules:
            leads_there = not rule.redirect and str(rule.host) == host and rule.zone == "wan"
            if leads_there and rule.fits(protocol, port, source, now):
                rule.hits += 1
                return True
        return False

    async def _reload_later(self) -> None:
        await asyncio.sleep(self._delay)
        await self.reload()

    def _decide(self, protocol: str, port: int, source: str) -> VirtualMapping | None:
        """Return where the first rule that fits leads."""
        now = self._clock.now()
        for rule in self.rules:
            if rule.redirect and rule.fits(protocol.lower(), port, source, now):
                if protocol == "TCP" or source not in rule.udp_sources:
                    rule.udp_sources.add(source)
                    rule.hits += 1  # NAT counts connections, not packets
                return VirtualMapping(
                    protocol=protocol,
                    external_port=port,
                    internal_host=str(rule.host),
                    internal_port=rule.internal_port(port),
                    description=rule.name,
                )
        return None
