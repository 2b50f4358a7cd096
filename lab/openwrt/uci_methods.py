"""The `uci` object of rpcd: deltas of sessions, and the apply that rolls itself back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from .clock import Clock
from .sessions import Session, Sessions
from .status import (
    INVALID_ARGUMENT,
    NO_DATA,
    NOT_FOUND,
    PERMISSION_DENIED,
    Args,
    Method,
    StatusError,
    mapping,
    needed,
    text,
)
from .uci import Change, Delta, InvalidError, NotFoundError, Package, Section, matches

APPLY_TIMEOUT = 60  # seconds


@dataclass(slots=True, kw_only=True)
class PendingApply:
    """An apply that nobody has confirmed yet."""

    session: Session
    until: float
    files: Mapping[str, Package]
    deltas: Mapping[str, list[Change]]
    timer: asyncio.TimerHandle


class UciMethods:
    """Answers for /etc/config."""

    def __init__(
        self,
        packages: dict[str, Package],
        sessions: Sessions,
        clock: Clock,
        config_changed: Callable[[str], Awaitable[None]],
    ) -> None:
        """Take the files; `config_changed` is awaited with the name of one that was written."""
        self._packages = packages
        self._sessions = sessions
        self._clock = clock
        self._config_changed = config_changed
        self._tasks: set[asyncio.Task[None]] = set()
        self.pending: PendingApply | None = None
        self.ignores_confirm = False
        """Say yes to a confirm and do nothing, as a router that is ill."""

    @property
    def methods(self) -> dict[str, Method]:
        """The methods by name."""
        return {
            "get": self.get,
            "changes": self.changes,
            "add": self.add,
            "set": self.set,
            "delete": self.delete,
            "rename": self.rename,
            "order": self.order,
            "revert": self.revert,
            "commit": self.commit,
            "apply": self.apply,
            "confirm": self.confirm,
            "rollback": self.rollback,
        }

    async def get(self, session: Session | None, args: Args) -> object:
        """Return sections, one section or one option, with the session's own changes."""
        session = _known(session)
        package = self._view(session, args, "read")
        if name := text(args, "section"):
            section = package.find(name)
            if section is None:
                return None
            if option := text(args, "option"):
                value = section.options.get(option)
                return None if value is None else {"value": value}
            return {"values": _shown(section)}
        kind, match = text(args, "type"), mapping(args, "match")
        return {
            "values": {
                section.name: _shown(section, index)
                for index, section in enumerate(package.sections)
                if kind in (None, section.type) and matches(section, match)
            }
        }

    async def changes(self, session: Session | None, args: Args) -> object:
        """Return what is changed and not committed."""
        session = _known(session)
        if text(args, "config"):
            return {"changes": self._delta(session, args, "read").changes}
        changed = {name: d.changes for name, d in session.deltas.items() if d.changes}
        return {"changes": changed}

    async def add(self, session: Session | None, args: Args) -> object:
        """Add a section; a name that exists is no error."""
        delta = self._delta(_known(session), args, "write")
        kind, name = needed(args, "type"), text(args, "name")
        return {"section": _checked(lambda: delta.add(kind, name, mapping(args, "values")))}

    async def set(self, session: Session | None, args: Args) -> object:
        """Set options of a section, or of all that match."""
        delta = self._delta(_known(session), args, "write")
        if not isinstance(args.get("values"), dict):
            raise StatusError(INVALID_ARGUMENT)
        for name in self._chosen(delta, args):
            _checked(partial(delta.set, name, mapping(args, "values")))
        return None

    async def delete(self, session: Session | None, args: Args) -> object:
        """Delete sections, or options of them."""
        delta = self._delta(_known(session), args, "write")
        options = args.get("options") or ([args["option"]] if "option" in args else [])
        if not isinstance(options, list):
            raise StatusError(INVALID_ARGUMENT)
        for name in self._chosen(delta, args):
            _checked(partial(delta.delete, name, options))
        return None

    async def rename(self, session: Session | None, args: Args) -> object:
        """Give a section another name."""
        delta = self._delta(_known(session), args, "write")
        _checked(lambda: delta.rename(needed(args, "section"), needed(args, "name")))
        return None

    async def order(self, session: Session | None, args: Args) -> object:
        """Put sections first."""
        delta = self._delta(_known(session), args, "write")
        sections = args.get("sections")
        if not isinstance(sections, list):
            raise StatusError(INVALID_ARGUMENT)
        _checked(lambda: delta.order(sections))
        return None

    async def revert(self, session: Session | None, args: Args) -> object:
        """Forget the session's changes."""
        session = _known(session)
        delta = self._delta(session, args, "write")
        self._refuse_while_pending()
        delta.changes.clear()
        return None

    async def commit(self, session: Session | None, args: Args) -> object:
        """Write the session's changes."""
        session = _known(session)
        self._delta(session, args, "write")
        self._refuse_while_pending()
        await self._commit(session, needed(args, "config"))
        return None

    async def apply(self, session: Session | None, args: Args) -> object:
        """Write all changes of the session, to be taken back unless they are confirmed."""
        session = _known(session)
        rollback, timeout = bool(args.get("rollback")), args.get("timeout", APPLY_TIMEOUT)
        if not isinstance(timeout, int):
            raise StatusError(INVALID_ARGUMENT)
        if rollback:
            self._refuse_while_pending()
        changed = [name for name, delta in session.deltas.items() if delta.changes]
        if not changed:
            raise StatusError(NO_DATA)
        if not all(session.rights.allows("uci", name, "write") for name in changed):
            raise StatusError(PERMISSION_DENIED)
        if rollback:
            loop = asyncio.get_running_loop()
            self.pending = PendingApply(
                session=session,
                until=self._clock.monotonic() + timeout,
                files={name: self._packages[name].copy() for name in changed},
                deltas={name: list(session.deltas[name].changes) for name in changed},
                timer=loop.call_later(timeout, self._time_is_up),
            )
        for name in changed:
            await self._commit(session, name)
        return None

    async def confirm(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """Keep what was applied."""
        pending = self._own_pending(session)
        if not self.ignores_confirm:
            pending.timer.cancel()
            self.pending = None
        return None

    async def rollback(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """Take back at once what was applied."""
        self._own_pending(session)
        await self.roll_back()
        return None

    async def roll_back(self) -> None:
        """Restore the files and the firewall, and put the changes back into the session."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        pending.timer.cancel()
        for name, file in pending.files.items():
            self._packages[name].sections = file.sections
            if self._sessions.find(pending.session.id, touch=False):
                delta = pending.session.deltas.setdefault(name, Delta(self._packages[name]))
                delta.changes = list(pending.deltas[name])
            await self._config_changed(name)

    async def tick(self) -> None:
        """Do what is due by the clock."""
        if self.pending and self.pending.until <= self._clock.monotonic():
            await self.roll_back()

    async def close(self) -> None:
        """Leave nothing behind."""
        if self.pending:
            self.pending.timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _time_is_up(self) -> None:
        task = asyncio.get_running_loop().create_task(self.roll_back())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _commit(self, session: Session, config: str) -> None:
        delta = session.deltas.get(config)
        if delta is None or not delta.changes:
            return
        package = self._packages[config]
        package.sections = delta.view.sections
        package.renumber()
        delta.changes.clear()
        await self._config_changed(config)

    def _refuse_while_pending(self) -> None:
        if self.pending:
            raise StatusError(PERMISSION_DENIED)

    def _own_pending(self, session: Session | None) -> PendingApply:
        session = _known(session)
        if self.pending is None:
            raise StatusError(NO_DATA)
        if self.pending.session is not session:
            raise StatusError(PERMISSION_DENIED)
        return self.pending

    def _delta(self, session: Session, args: Args, function: str) -> Delta:
        config = needed(args, "config")
        if not session.rights.allows("uci", config, function):
            raise StatusError(PERMISSION_DENIED)
        if config not in self._packages:
            raise StatusError(NOT_FOUND)
        return session.deltas.setdefault(config, Delta(self._packages[config]))

    def _view(self, session: Session, args: Args, function: str) -> Package:
        return self._delta(session, args, function).view

    @staticmethod
    def _chosen(delta: Delta, args: Args) -> list[str]:
        """Return the section that is named, or all that match."""
        if name := text(args, "section"):
            return [name]
        kind, match = text(args, "type"), mapping(args, "match")
        found = [
            section.name
            for section in delta.view.sections
            if kind in (None, section.type) and matches(section, match)
        ]
        if not found:
            raise StatusError(NOT_FOUND)
        return found


def _known(session: Session | None) -> Session:
    """No method of this object is allowed to anybody who is not logged in."""
    if session is None:
        raise StatusError(PERMISSION_DENIED)
    return session


def _checked[T](change: Callable[[], T]) -> T:
    try:
        return change()
    except NotFoundError as error:
        raise StatusError(NOT_FOUND) from error
    except InvalidError as error:
        raise StatusError(INVALID_ARGUMENT) from error


def _shown(section: Section, index: int | None = None) -> dict[str, object]:
    shown: dict[str, object] = {
        ".anonymous": section.anonymous,
        ".type": section.type,
        ".name": section.name,
    }
    if index is not None:
        shown[".index"] = index
    return shown | section.options
