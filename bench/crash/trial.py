"""A trial: storms of calls, each ended by a kill, and what is wrong with the ports afterwards."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

import aiohttp

from lab.home_assistant import CommandError
from lab.virtual_router import Quirk, VirtualMapping, VirtualRouter

from ..home import Forward, Home, furnished, own_address
from .book import CLOSED, EARLY, LATE, Account, Call, Promise
from .household import SHORTEST_OWN, ChangeRefusedError, Household
from .storm import Blow, Change, Kind, PlannedCall, PlannedChange, Storm, plan

# Where all forwards lead, and no mapping of others.
OWN_TARGET = "127.0.0.5"

# A call that takes longer than this while Home Assistant runs is a bug.
ANSWERED_WITHIN = 20.0

# A lease may run out while Home Assistant begins to bring all in order.
SETTLED_WITHIN = 2.0

# What ran out while Home Assistant was dead is not made again for so short a time.
NOT_WORTH_IT = 6.0

# What follows from a change of the house is done so soon: a second, and the requests that it takes.
FOLLOWS_WITHIN = LATE + 1.0

# A forward that was edited is moved so soon: the entry is reloaded first.
MOVES_WITHIN = 4.0

# Around a deadline nobody can say from outside what is right.
UNSURE = 1.5


@dataclass(kw_only=True, slots=True)
class Result:
    """What a trial has found."""

    kills: int = 0
    calls: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """Changes of routers and forwards that were answered."""
    lost: int = 0
    """Calls and changes that were under way when Home Assistant died."""
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
        self._household: Household
        self._accounts: dict[str, Account] = {}
        self._history: dict[str, list[str]] = {}
        self._started = 0.0
        # When Home Assistant was last seen to run; inf while it does not.
        self._ready = inf
        # Until when a forward that was edited may be on its way.
        self._moving: dict[str, float] = {}
        # Forwards that are being edited or deleted, and routers that are being toggled.
        self._busy: set[object] = set()
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
            self._household = Household(home)
            self._meet_forwards()
            try:
                await self._rounds(kills)
            finally:
                # The routers are switched off now, which closes everything.
                self._household.owners.clear()
        return self.result

    def _meet_forwards(self) -> None:
        """Begin an account for each forward that is new."""
        for id_ in self._household.forwards.keys() - self._accounts.keys():
            self._accounts[id_] = Account()
            self._history[id_] = []

    async def _rounds(self, kills: int) -> None:
        await self._start()
        for number in range(kills):
            storm = plan(
                self._seed,
                number,
                self._count,
                routers=len(self._home.routers),
                longest=self._longest,
                lease=self._lease,
            )
            await self._storm(storm)
            await asyncio.sleep(storm.kill.dead_for)
            await self._start()
            await asyncio.sleep(SETTLED_WITHIN)
            self._inspect()
            # A router that stays disabled would have no more storms; none opens by being enabled.
            await self._household.enable_all()
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
        await self._household.listen()
        self._ready = time.time()
        self._moving = dict.fromkeys(self._moving, self._ready + SETTLED_WITHIN)
        self._note_all("ready")

    async def _storm(self, storm: Storm) -> None:
        """Call, and kill in the middle of it."""
        struck = asyncio.Event()
        struck_at = inf
        blows = Counter[Blow]()

        def strike() -> None:
            if not struck.is_set():
                struck.set()
                nonlocal struck_at
                struck_at = time.time()
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
        calls += [
            asyncio.create_task(self._change(planned, struck, lambda: blow(Blow.CALL)))
            for planned in storm.changes
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
        self._find_what_was_kept(struck_at)
        self._note_what_was_caught()

    def _find_what_was_kept(self, died_at: float) -> None:
        """Take what is on the disk: a change of the house may be undone by the kill."""
        before = dict(self._household.forwards)
        self._household.read_disk()
        self._meet_forwards()
        moving = {id_ for id_, until in self._moving.items() if died_at < until}
        for id_, account in self._accounts.items():
            account.die(died_at)
            if id_ in moving:
                account.may_be_closed()
            kept = self._household.forwards.get(id_)
            if kept is None or self._household.is_disabled(kept.router):
                # It closes what is still open of it, and opens nothing.
                account.settle(CLOSED)
                continue
            if kept != before.get(id_):
                self._note(kept, f"on the disk it is {kept}, not {before.get(id_)}")
                moving.add(id_)
        self._moving = dict.fromkeys(moving, inf)

    async def _change(
        self, planned: PlannedChange, struck: asyncio.Event, sending: Callable[[], None]
    ) -> None:
        """Change the house."""
        await asyncio.sleep(planned.at)
        if struck.is_set():
            return
        asyncio.get_running_loop().call_soon(sending)
        what = planned.kind.name.lower()
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                made = await self._make(planned)
        except ConnectionError, RuntimeError, aiohttp.ClientConnectionError:
            self.result.lost += 1
        except (CommandError, ChangeRefusedError, aiohttp.ClientResponseError) as error:
            # Another change of the same entry was under way.
            self.result.refused[f"{what} ({error})"[:120]] += 1
        except TimeoutError:
            self._found(f"{what} was not answered within {ANSWERED_WITHIN} s")
        else:
            if made:
                self.result.changes[what] += 1

    async def _make(self, planned: PlannedChange) -> bool:
        """Make a planned change; False for one that cannot be made now."""
        household, router = self._household, planned.router
        forwards = [forward for forward in household.of(router) if forward.id not in self._busy]
        forward = forwards[planned.forward % len(forwards)]
        match planned.kind:
            case Change.RELOAD if not household.is_disabled(router):
                await household.reload(router)
            case Change.OPTIONS:
                await household.set_options(router, planned.number)
            case Change.TOGGLE if router not in self._busy:
                await self._toggle(router)
            case Change.ADD if len(household.forwards) < self._count:
                await household.add(router, planned.number)
                self._meet_forwards()
            case Change.EDIT:
                await self._edit(forward, planned.number)
            case Change.DELETE:
                await self._delete(forward)
            case _:
                return False
        return True

    async def _toggle(self, router: int) -> None:
        with self._alone(router):
            if self._household.is_disabled(router):
                await self._household.disable(router, disabled=False)
                return
            async with self._closing(self._household.of(router), "router disabled"):
                await self._household.disable(router, disabled=True)

    async def _delete(self, forward: Forward) -> None:
        with self._alone(forward.id):
            async with self._closing([forward], "deleted"):
                await self._household.delete(forward)

    @contextmanager
    def _alone(self, what: object) -> Iterator[None]:
        """Let nobody else change this router or forward meanwhile."""
        self._busy.add(what)
        try:
            yield
        finally:
            self._busy.discard(what)

    @asynccontextmanager
    async def _closing(self, forwards: Sequence[Forward], what: str) -> AsyncIterator[None]:
        """Make a change of the house that closes these forwards."""
        sent = time.time()
        calls = {forward.id: self._accounts[forward.id].send(CLOSED, sent) for forward in forwards}
        for forward in forwards:
            self._note(forward, f"{what}: sent")
        try:
            yield
        except ConnectionError, RuntimeError, aiohttp.ClientError, CommandError:
            for id_, call in calls.items():
                self._accounts[id_].lose(call, time.time())
            raise
        now = time.time()
        for forward in forwards:
            self._accounts[forward.id].close(now, now + FOLLOWS_WITHIN)
            self._note(forward, f"{what}: answered")
            # A little later than it is allowed: timers are not that exact.
            self._check_in(FOLLOWS_WITHIN + 0.1, forward)

    async def _edit(self, forward: Forward, number: int) -> None:
        edited = self._household.edited(forward, number)
        self._moving[forward.id] = inf
        self._note(forward, f"becomes {edited}")
        try:
            with self._alone(forward.id):
                await self._household.edit(edited)
        finally:
            self._moving[forward.id] = time.time() + MOVES_WITHIN
        self._note(forward, "has become that")
        self._check_in(MOVES_WITHIN + 0.1, edited)

    def _check_in(self, seconds: float, forward: Forward) -> None:
        """Check a forward after so long, if Home Assistant lives on until then."""
        began = self._started
        asyncio.get_running_loop().call_later(
            seconds,
            lambda: (
                self._check(self._household.forwards.get(forward.id, forward))
                if self._started == began
                else None
            ),
        )

    async def _call(
        self, planned: PlannedCall, struck: asyncio.Event, sending: Callable[[], None]
    ) -> None:
        await asyncio.sleep(planned.at)
        if struck.is_set():
            return
        forwards = list(self._household.forwards.values())
        forward = forwards[planned.forward % len(forwards)]
        account = self._accounts[forward.id]
        self._check(forward)
        now = time.time()
        domain, service, data, promise = _action(planned, forward, now)
        if planned.kind is Kind.SWITCH_ON:
            # It never shortens what remains.
            latest = max(promise.latest, account.latest)
            promise = Promise(earliest=promise.earliest, latest=latest)
        call = account.send(promise, now)
        self._note(forward, f"{service} {data or ''} sent")
        self.result.calls += 1
        try:
            # The kill is in a later round of the loop: this one has been sent by then.
            asyncio.get_running_loop().call_soon(sending)
            async with asyncio.timeout(ANSWERED_WITHIN):
                with self._perhaps_edited(planned, forward, call):
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
            self._refused(forward, call, error)
        except TimeoutError:
            account.lose(call, time.time())
            self._violated(forward, f"{service} was not answered within {ANSWERED_WITHIN} s")
        else:
            if domain == "switch" and not self._was_calm(forward, call.sent):
                # Home Assistant passes over entities that are away in silence.
                account.lose(call, time.time())
                self._note(forward, f"{service} answered, perhaps for nothing")
            else:
                self._answered(forward, account, call, answer)

    @contextmanager
    def _perhaps_edited(self, planned: PlannedCall, forward: Forward, call: Call) -> Iterator[None]:
        """Call for the forward's own time, which may be edited before or meanwhile."""
        was_moving = self._is_moving(forward, time.time())
        try:
            yield
        finally:
            is_own = planned.kind in (Kind.OPEN, Kind.SWITCH_ON)
            if is_own and (was_moving or self._is_moving(forward, time.time())):
                earliest = call.sent + min(SHORTEST_OWN, forward.close_after)
                call.promise = Promise(earliest=earliest, latest=inf)

    def _was_calm(self, forward: Forward, since: float) -> bool:
        """Return whether a forward could be called all the time."""
        household = self._household
        return household.exists(forward) and household.was_calm(forward.router, since)

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

    def _refused(self, forward: Forward, call: Call, error: CommandError) -> None:
        reason = error.translation_key or error.message
        self.result.refused[reason] += 1
        if forward.taken and reason == "port_conflict":
            return
        # Its entry was reloaded or disabled meanwhile, or the forward deleted.
        if not self._was_calm(forward, call.sent):
            return
        # A close that was sent later gets ahead, and breaks it off.
        if reason == "stopped" and CLOSED in self._accounts[forward.id].promises:
            return
        # One that had to wait until its time was over.
        if reason != "in_the_past":
            self._violated(forward, f"refused: {error}")

    def _changed(self, router: int, what: Literal["opened", "closed"], row: VirtualMapping) -> None:
        """Hear of a row that came or went, at the very moment."""
        if row.internal_host != OWN_TARGET:
            return
        owner = self._household.owners.get((router, row.key))
        if owner is None:
            return
        forward = self._forward(owner)
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

    def _forward(self, id_: str) -> Forward:
        """Return a forward, also one that is gone."""
        if forward := self._household.forwards.get(id_):
            return forward
        router, key = next(at for at, owner in self._household.owners.items() if owner == id_)
        return Forward(
            id=id_,
            name=f"{id_}, which is gone",
            router=router,
            port=key[1],
            protocols=("TCP", "UDP"),
            close_after=inf,
            taken=False,
        )

    def _is_moving(self, forward: Forward, now: float) -> bool:
        return now < self._moving.get(forward.id, -inf)

    def _row_closed(self, forward: Forward, account: Account, now: float, *, expired: bool) -> None:
        if expired:
            self.result.closed_by_lease += 1
        else:
            self.result.closed_by_home_assistant += 1
        # Nobody renews a lease while Home Assistant is dead; it makes the mapping again then.
        excused = expired and now < self._ready + SETTLED_WITHIN
        if excused:
            self._ran_out.add(forward.id)
        if account.must_be_open(now) and not excused and not self._is_moving(forward, now):
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
        rows, strays = self._home.rows(forward), self._household.strays(forward)
        moving = self._is_moving(forward, now)
        self.result.promises += 1
        early = NOT_WORTH_IT if forward.id in self._ran_out else EARLY
        if account.must_be_open(now, early) and len(rows) < len(forward.keys) and not moving:
            self._violated(forward, "should be open and is not")
        if strays and not moving:
            self._violated(forward, f"is still open as it was before an edit: {strays}")
        if (rows or strays) and not account.may_be_open(now):
            self._violated(forward, "should be closed and is not")

    def _inspect(self) -> None:
        """Compare router, ledger and promises after a start, when all has been brought in order."""
        ledger = self._home.ledger()
        for id_ in self._accounts.keys() - self._household.forwards.keys():
            self._check(self._forward(id_))
        for forward in self._household.forwards.values():
            self._check(forward)
            self._inspect_one(forward, ledger.pop(forward.id, None))
        if ledger:
            self._found(f"the ledger has what is no forward: {ledger}")
        self._check_foreign()

    def _inspect_one(self, forward: Forward, opening: dict[str, Any] | None) -> None:
        account = self._accounts[forward.id]
        deadline = _seconds(opening["deadline"]) if opening else -inf
        if abs(account.latest - time.time()) < UNSURE or abs(deadline - time.time()) < UNSURE:
            return
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

    def _check_foreign(self) -> None:
        for before, now in zip(self._home.foreign, self._home.foreign_now(), strict=True):
            if before != now:
                self._found(f"foreign mappings: {before}\nhave become {now}")
        for router, keys in self._home.own_rows().items():
            if unknown := {key for key in keys if (router, key) not in self._household.owners}:
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
        for forward in self._household.forwards.values():
            if bool(self._home.rows(forward)) != (self._accounts[forward.id].latest == inf):
                self._violated(forward, "open or closed after all deadlines, and should not be")
        await asyncio.gather(
            *(
                self._close(forward)
                for forward in self._household.forwards.values()
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
                forward = self._forward(forward_id)
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
