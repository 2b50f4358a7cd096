"""A trial: storms of calls, each ended by a kill, and what is wrong with the ports afterwards."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

import aiohttp

from lab.home_assistant import CommandError
from lab.virtual_router import Quirk, VirtualMapping, VirtualRouter

from ..home import Forward, Home, Key, furnished, own_address
from .book import CLOSED, EARLY, Account, Call, Promise
from .storm import Blow, Kind, PlannedCall, Storm, plan

# A call that takes longer than this while Home Assistant runs is a bug.
ANSWERED_WITHIN = 20.0

# A lease may run out while Home Assistant begins to bring all in order.
SETTLED_WITHIN = 2.0

# What ran out while Home Assistant was dead is not made again for so short a time.
NOT_WORTH_IT = 6.0

# Around a deadline nobody can say from outside what is right.
UNSURE = 1.5


@dataclass(kw_only=True, slots=True)
class Result:
    """What a trial has found."""

    kills: int = 0
    calls: int = 0
    lost: int = 0
    """Calls that were under way when Home Assistant died."""
    openings: int = 0
    """Calls to open that were answered, extensions included."""
    rows_opened: int = 0
    promises: int = 0
    """How often a port was compared with what was promised of it."""
    caught: Counter[str] = field(default_factory=Counter)
    """What the ledger said was under way when Home Assistant died, and where the router stood."""
    refused: Counter[str] = field(default_factory=Counter)
    closed_by_lease: int = 0
    closed_by_home_assistant: int = 0
    late_running: float = 0.0
    """The worst time from a deadline to the row's end, while Home Assistant ran."""
    late_after_start: float = 0.0
    """The same from the start of the process, where it was dead at the deadline."""
    late_after_ready: float = 0.0
    """The same from when Home Assistant was running, below 0 if always before."""
    violations: list[str] = field(default_factory=list)


class Trial:
    """A house, what was promised in it, and what became of that."""

    def __init__(
        self, *, forwards: int, seed: int, longest: float, lease: int, say: Callable[[str], None]
    ) -> None:
        """Take how many forwards there are, and for how long they are opened at the most."""
        self.result = Result(late_after_ready=-inf)
        self._count = forwards
        self._seed = seed
        self._longest = longest
        self._lease = lease
        self._say = say
        self._home: Home
        self._accounts: dict[str, Account] = {}
        self._by_key: dict[tuple[int, Key], Forward] = {}
        self._history: dict[str, list[str]] = {}
        self._started = 0.0
        # When Home Assistant was last seen to run; inf while it does not.
        self._ready = inf
        # Forwards whose lease has run out while Home Assistant was dead.
        self._ran_out: set[str] = set()
        self._on_row: Callable[[], None] = lambda: None

    async def run(self, environment: Path, config: Path, kills: int) -> Result:
        """Kill so many times; raises nothing for what it finds, that is in the result."""
        host = own_address()
        routers = [
            # One that closes by itself, and one on which nobody but Home Assistant does.
            VirtualRouter(wan_host=host, on_change=partial(self._changed, 0)),
            VirtualRouter(wan_host=host, quirks={Quirk.Q01}, on_change=partial(self._changed, 1)),
        ]
        async with furnished(
            environment,
            config,
            forwards=self._count,
            routers=routers,
            lease=self._lease,
            close_after=int(self._longest / 2),
        ) as home:
            self._home = home
            for forward in home.forwards:
                self._accounts[forward.id] = Account()
                self._history[forward.id] = []
                self._by_key |= {(forward.router, key): forward for key in forward.keys}
            try:
                await self._rounds(kills)
            finally:
                # The routers are switched off now, which closes everything.
                self._by_key.clear()
        return self.result

    async def _rounds(self, kills: int) -> None:
        await self._start()
        for number in range(kills):
            storm = plan(self._seed, number, self._count, longest=self._longest, lease=self._lease)
            await self._storm(storm)
            await asyncio.sleep(storm.kill.dead_for)
            await self._start()
            await asyncio.sleep(SETTLED_WITHIN)
            self._inspect()
            own = self._home.own_rows()
            self._say(
                f"{number + 1:3} killed {storm.kill.blow.name.lower():5}"
                f" {len(own[0])}+{len(own[1])} rows open,"
                f" {len(self.result.violations)} violations"
            )
        await self._finish()

    async def _start(self) -> None:
        self._started = time.time()
        await self._home.ha.start()
        # One connection for all calls, and none of them waits for it.
        await self._home.ha.command("get_config")
        self._ready = time.time()
        self._note_all("ready")

    async def _storm(self, storm: Storm) -> None:
        """Call, and kill in the middle of it."""
        struck = asyncio.Event()
        blows = Counter[Blow]()

        def strike() -> None:
            if not struck.is_set():
                struck.set()
                self._ready = inf
                self._note_all("killed")
                # Eagerly: the signal is sent before this returns.
                killing.append(asyncio.create_task(self._home.ha.kill(), eager_start=True))

        def blow(kind: Blow) -> None:
            blows[kind] += 1
            if kind is storm.kill.blow and blows[kind] == storm.kill.nth:
                if storm.kill.after:
                    asyncio.get_running_loop().call_later(storm.kill.after, strike)
                else:
                    strike()

        killing: list[asyncio.Task[None]] = []
        self._on_row = lambda: blow(Blow.ROW)
        blow(Blow.CLOCK)
        calls = [
            asyncio.create_task(self._call(planned, struck, lambda: blow(Blow.CALL)))
            for planned in storm.calls
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(storm.lasts + 1):
                await struck.wait()
        strike()
        await killing[0]
        self._on_row = lambda: None
        _, hanging = await asyncio.wait(calls, timeout=ANSWERED_WITHIN)
        for call in calls:
            if call in hanging:
                call.cancel()
            elif error := call.exception():
                raise error
        self.result.kills += 1
        self._note_what_was_caught()

    async def _call(
        self, planned: PlannedCall, struck: asyncio.Event, sending: Callable[[], None]
    ) -> None:
        await asyncio.sleep(planned.at)
        if struck.is_set():
            return
        forward = self._home.forwards[planned.forward]
        account = self._accounts[forward.id]
        self._check(forward)
        now = time.time()
        domain, service, data, promise = _action(planned, forward, now)
        call = account.send(promise, now)
        self._note(forward, f"{service} {data or ''} sent")
        self.result.calls += 1
        try:
            # The kill is in a later round of the loop: this one has been sent by then.
            asyncio.get_running_loop().call_soon(sending)
            async with asyncio.timeout(ANSWERED_WITHIN):
                answer = await self._home.ha.command(
                    "call_service",
                    domain=domain,
                    service=service,
                    service_data=data,
                    target={"entity_id": forward.switch},
                    return_response=service == "open",
                )
        except ConnectionError, RuntimeError, aiohttp.ClientError:
            account.lose(call, time.time())
            self.result.lost += 1
            self._note(forward, f"{service} lost")
        except CommandError as error:
            account.refuse(call)
            self._note(forward, f"{service} refused: {error}")
            self._refused(forward, error)
        except TimeoutError:
            account.lose(call, time.time())
            self._violated(forward, f"{service} was not answered within {ANSWERED_WITHIN} s")
        else:
            self._answered(forward, account, call, answer)

    def _answered(self, forward: Forward, account: Account, call: Call, answer: Any) -> None:  # noqa: ANN401  any JSON
        now = time.time()
        promise = call.promise
        if promise is not CLOSED:
            self.result.openings += 1
            promise = Promise(earliest=promise.earliest, latest=promise.latest + (now - call.sent))
        if response := (answer or {}).get("response"):
            exact = Promise.until(_seconds(response[forward.switch]["deadline"]))
            if not promise.fits(exact.latest):
                self._violated(forward, f"asked for {promise}, promised {exact}")
            promise = exact
        account.answer(call, promise, now)
        self._note(forward, f"answered: {promise}")
        self._check(forward)

    def _refused(self, forward: Forward, error: CommandError) -> None:
        reason = error.translation_key or error.message
        self.result.refused[reason] += 1
        if forward.taken and reason == "port_conflict":
            return
        # One that had to wait until its time was over.
        if reason != "in_the_past":
            self._violated(forward, f"refused: {error}")

    def _changed(self, router: int, what: Literal["opened", "closed"], row: VirtualMapping) -> None:
        """Hear of a row that came or went, at the very moment."""
        forward = self._by_key.get((router, row.key))
        if forward is None or row.internal_host != "127.0.0.5":
            return
        now = time.time()
        expired = (
            row.expires is not None and asyncio.get_running_loop().time() >= row.expires - 0.01
        )
        self._note(forward, f"{row.protocol} {what}{' by lease' if expired else ''}")
        account = self._accounts[forward.id]
        if what == "opened":
            self.result.rows_opened += 1
            self._ran_out.discard(forward.id)
            if not account.may_be_open(now):
                self._violated(forward, "opened though it should be closed")
        else:
            self._row_closed(forward, account, now, expired=expired)
        self._on_row()

    def _row_closed(self, forward: Forward, account: Account, now: float, *, expired: bool) -> None:
        if expired:
            self.result.closed_by_lease += 1
        else:
            self.result.closed_by_home_assistant += 1
        # Nobody renews a lease while Home Assistant is dead; it makes the mapping again then.
        excused = expired and now < self._ready + SETTLED_WITHIN
        if excused:
            self._ran_out.add(forward.id)
        if account.must_be_open(now) and not excused:
            self._violated(forward, "closed though it should be open")
        if now <= account.latest or account.latest == -inf:
            return
        if self._ready <= account.latest:
            self.result.late_running = max(self.result.late_running, now - account.latest)
        elif self._started > account.latest:
            self.result.late_after_start = max(self.result.late_after_start, now - self._started)
            ready = min(self._ready, now)
            self.result.late_after_ready = max(self.result.late_after_ready, now - ready)

    def _check(self, forward: Forward) -> None:
        """Compare what the router holds with what was promised, while Home Assistant runs."""
        now = time.time()
        if now < self._ready + SETTLED_WITHIN:
            return
        account = self._accounts[forward.id]
        rows = self._home.rows(forward)
        self.result.promises += 1
        early = NOT_WORTH_IT if forward.id in self._ran_out else EARLY
        if account.must_be_open(now, early) and len(rows) < len(forward.keys):
            self._violated(forward, "should be open and is not")
        if rows and not account.may_be_open(now):
            self._violated(forward, "should be closed and is not")

    def _inspect(self) -> None:
        """Compare router, ledger and promises after a start, when all has been brought in order."""
        ledger = self._home.ledger()
        for forward in self._home.forwards:
            self._check(forward)
            account = self._accounts[forward.id]
            opening = ledger.pop(forward.id, None)
            deadline = _seconds(opening["deadline"]) if opening else -inf
            if abs(account.latest - time.time()) < UNSURE or abs(deadline - time.time()) < UNSURE:
                continue
            if opening is None:
                if account.must_be_open(time.time(), UNSURE):
                    self._violated(forward, "not in the ledger")
            elif not account.allows(deadline):
                self._violated(forward, f"in the ledger until {deadline}, which nobody asked for")
            if opening and opening["phase"] != "open":
                self._violated(forward, f"still {opening['phase']} in the ledger")
            left_to_end = forward.id in self._ran_out and deadline < time.time() + NOT_WORTH_IT
            complete = len(self._home.rows(forward)) == len(forward.keys)
            if bool(opening) != complete and not left_to_end:
                self._violated(forward, f"ledger: {bool(opening)}, router: not so")
            if not opening and self._home.rows(forward):
                self._violated(forward, "open, and not in the ledger")
            account.settle(Promise.until(deadline))
        if ledger:
            self._found(f"the ledger has what is no forward: {ledger}")
        self._check_foreign()

    def _check_foreign(self) -> None:
        for before, now in zip(self._home.foreign, self._home.foreign_now(), strict=True):
            if before != now:
                self._found(f"foreign mappings: {before}\nhave become {now}")
        for router, keys in self._home.own_rows().items():
            if unknown := {key for key in keys if (router, key) not in self._by_key}:
                self._found(f"rows of nobody: {unknown}")

    async def _finish(self) -> None:
        """Wait until all deadlines are over, look, and close what has none."""
        self._check_foreign()
        latest = max(
            (account.latest for account in self._accounts.values() if account.latest < inf),
            default=-inf,
        )
        if (remains := latest - time.time()) > 0:
            self._say(f"waiting {remains:.0f} s for the last deadline")
            await asyncio.sleep(remains)
        await asyncio.sleep(UNSURE)
        self._inspect()
        for forward in self._home.forwards:
            if bool(self._home.rows(forward)) != (self._accounts[forward.id].latest == inf):
                self._violated(forward, "open or closed after all deadlines, and should not be")
        await asyncio.gather(
            *(
                self._close(forward)
                for forward in self._home.forwards
                if self._accounts[forward.id].latest == inf
            )
        )
        if any(self._home.own_rows().values()) or self._home.ledger():
            self._found(f"after all was closed: {self._home.own_rows()}, {self._home.ledger()}")
        self._check_foreign()
        await self._home.ha.stop()

    async def _close(self, forward: Forward) -> None:
        account = self._accounts[forward.id]
        call = account.send(CLOSED, time.time())
        await self._home.ha.call("port_forward", "close", entity_id=forward.switch)
        self._answered(forward, account, call, None)

    def _note_what_was_caught(self) -> None:
        """Count in the middle of what Home Assistant died, as its disk and the router tell."""
        for forward_id, opening in self._home.ledger().items():
            if opening["phase"] != "open":
                forward = next(f for f in self._home.forwards if f.id == forward_id)
                rows = len(self._home.rows(forward))
                where = {0: "none", len(forward.keys): "all"}.get(rows, "some")
                self.result.caught[f"{opening['phase']}, {where} of its rows there"] += 1

    def _note_all(self, what: str) -> None:
        for history in self._history.values():
            history.append(f"{time.time():.3f} {what}")

    def _note(self, forward: Forward, what: str) -> None:
        self._history[forward.id].append(f"{time.time():.3f} {what}")

    def _violated(self, forward: Forward, what: str) -> None:
        account = self._accounts[forward.id]
        evidence = "\n    ".join(
            [
                f"{time.time():.3f} {forward.name} on router {forward.router}: {what}",
                f"may be: {account.promises}",
                f"router: {self._home.rows(forward)}",
                f"ledger: {self._home.ledger().get(forward.id)}",
                *self._history[forward.id][-25:],
            ]
        )
        self._found(evidence)

    def _found(self, violation: str) -> None:
        self._say(f"VIOLATION: {violation}")
        self.result.violations.append(violation)


def _action(
    planned: PlannedCall, forward: Forward, now: float
) -> tuple[str, str, dict[str, Any], Promise]:
    """Return domain, service, data, and what it promises at the earliest if it is answered."""
    own = Promise.until(now + forward.close_after)
    match planned.kind:
        case Kind.OPEN_FOR:
            deadline = Promise.until(now + planned.seconds)
            return "port_forward", "open", {"duration": {"seconds": planned.seconds}}, deadline
        case Kind.OPEN_UNTIL:
            until = datetime.fromtimestamp(now + planned.seconds, UTC).isoformat()
            return "port_forward", "open", {"until": until}, Promise.until(now + planned.seconds)
        case Kind.OPEN:
            return "port_forward", "open", {}, own
        case Kind.SWITCH_ON:
            return "switch", "turn_on", {}, own
        case Kind.CLOSE:
            return "port_forward", "close", {}, CLOSED
        case Kind.SWITCH_OFF:
            return "switch", "turn_off", {}, CLOSED


def _seconds(deadline: str | None) -> float:
    return datetime.fromisoformat(deadline).timestamp() if deadline else inf
