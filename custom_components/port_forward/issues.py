"""Repairs: what needs the user, told for as long as that is so, without anybody having to try.

What is left when a router is deleted or disabled, and a ledger that was
damaged, are told in `runtime.py`: they stay until the user has seen to them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.translation import async_get_exception_message
from homeassistant.util import dt as dt_util

from .const import DOMAIN
from .devices.hosts import HostError
from .history import async_history
from .openings import Activity, Keeper, Kind, Ledger, Opening
from .routers.errors import (
    ClockWrongError,
    MissingRightsError,
    UnconfirmedRouterError,
    UnsupportedError,
)
from .routers.model import Capabilities, Forward, RouterInfo
from .routers.shown import as_text, clean, code
from .safety.disabled import async_is_disabled
from .safety.target import TargetError

DATA_UDN: Final = "udn"

# A router that starts, or is given another firmware, may not speak its protocol for so long.
_STARTING: Final = timedelta(minutes=15)
# A device that is off at night is no trouble. While its port is open, it may be another's by now.
_ASLEEP: Final = timedelta(hours=24)
_MISSED: Final = timedelta(hours=1)

# What the way out of an issue is told: of which router, which forward, and where it leads.
DATA_ENTRY: Final = "entry_id"
DATA_FORWARD: Final = "forward_id"
DATA_TARGET: Final = "target"

_LOOKS = ("connect", "snapshot")
_CHANGES = ("open", "close", "set_enabled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Something that only the user can put right; `patience` is for how long it may pass by itself.

    `key` is that of its texts. With `data`, there is a way out in `repairs.py`.
    """

    key: str
    placeholders: dict[str, str]
    patience: timedelta = timedelta(0)
    data: dict[str, str | int | float | None] | None = None


@callback
def async_tell(
    hass: HomeAssistant,
    issue_id: str,
    need: Need,
    *,
    severity: ir.IssueSeverity = ir.IssueSeverity.WARNING,
    is_persistent: bool = False,
) -> None:
    """Tell of it now, until it is taken back; over a restart of Home Assistant if persistent."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        issue_id,
        data=need.data,
        is_fixable=need.data is not None,
        is_persistent=is_persistent,
        severity=severity,
        translation_key=need.key,
        translation_placeholders=need.placeholders,
    )


@callback
def async_ask_moved(hass: HomeAssistant, entry: ConfigEntry, url: str, found: RouterInfo) -> None:
    """Ask whether the router of the entry is at `url` now, until it answers where it was."""
    issue_id = f"router_moved_{entry.entry_id}"
    need = Need(
        key="router_moved",
        placeholders={
            "router": clean(entry.title),
            "name": code(found.name),
            "old": code(entry.data[CONF_URL]),
            "new": code(url),
        },
        data={DATA_ENTRY: entry.entry_id, CONF_URL: url, DATA_UDN: found.unique_id},
    )
    async_history(hass, entry.entry_id).needs.setdefault(issue_id, dt_util.utcnow())
    async_tell(hass, issue_id, need)


class Issues:
    """What of one router needs the user."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Take the entry of the router."""
        self._hass = hass
        self._entry = entry
        self._history = async_history(hass, entry.entry_id)
        # Forwards whose host cannot be used now, and why.
        self.homeless: dict[str, HostError] = {}
        # The names of forwards that could not be closed, by their ids.
        self._unclosed: dict[str, str] = {}

    @callback
    def on_activity(self, activity: Activity) -> None:
        """Tell of a port that cannot be closed, until it is, and of what was refused."""
        if activity.kind is Kind.CLOSE_FAILED:
            self._unclosed[activity.forward_id] = activity.name
        elif activity.kind in (Kind.CLOSED, Kind.MOVED):
            self._unclosed.pop(activity.forward_id, None)
            ir.async_delete_issue(self._hass, DOMAIN, f"not_closed_{activity.forward_id}")
        if activity.kind in (Kind.OPENED, Kind.EXTENDED):
            # The user has decided.
            ir.async_delete_issue(self._hass, DOMAIN, f"reopen_{activity.forward_id}")
        self.check_troubles()

    @callback
    def ask_to_reopen(self, opening: Opening) -> None:
        """Ask about what was open when Home Assistant went away for long, or was backed up.

        Either it was not opened again, or it closes after a while because
        nobody has said for how long it has to be open now.
        """
        need = Need(
            key="reopen",
            placeholders={
                "forward": as_text(opening.forward.name),
                "router": as_text(self._entry.title),
                "ports": str(opening.external_ports),
                "since": f"{dt_util.as_local(opening.opened_at):%Y-%m-%d %H:%M}",
            },
            data={
                DATA_ENTRY: self._entry.entry_id,
                DATA_FORWARD: opening.forward.id,
                "deadline": opening.deadline.isoformat() if opening.deadline else None,
                "limit": str(opening.limit) if opening.limit else None,
            },
        )
        async_tell(self._hass, f"reopen_{opening.forward.id}", need, is_persistent=True)

    @callback
    def withdraw_unclosed(self) -> None:
        """Tell no more of what could not be closed: it is over, or something else says more."""
        for forward_id in self._unclosed:
            ir.async_delete_issue(self._hass, DOMAIN, f"not_closed_{forward_id}")
        self._unclosed.clear()

    @callback
    def _tell_unclosed(self) -> None:
        """Tell of what could not be closed, and whether it is the user who has to log in."""
        for forward_id, name in self._unclosed.items():
            router = self._entry.title
            need = Need(key="not_closed", placeholders={"forward": name, "router": router})
            if self._history.patience.refusal:
                need = Need(
                    key="not_closed_login", placeholders={"forward": name, "router": router}
                )
            issue_id = f"not_closed_{forward_id}"
            async_tell(self._hass, issue_id, need, severity=ir.IssueSeverity.ERROR)

    @callback
    def after_a_look(
        self,
        keeper: Keeper,
        ledger: Ledger,
        capabilities: Capabilities,
        forwards: Mapping[str, Forward | None],
    ) -> None:
        """Tell what a look that succeeded shows."""
        needs = self._troubles()
        entry_id, title = self._entry.entry_id, self._entry.title
        if capabilities.never_closes:
            needs[f"router_does_not_close_{entry_id}"] = Need(
                key="router_does_not_close", placeholders={"router": title}
            )
        if ledger.is_unsaved:
            needs[f"ledger_unsaved_{entry_id}"] = Need(
                key="ledger_unsaved", placeholders={"router": title}
            )
        rows = keeper.view.snapshot.mappings if keeper.view.snapshot else ()
        for forward_id, forward in forwards.items():
            data: dict[str, str | int | float | None] = {
                DATA_ENTRY: entry_id,
                DATA_FORWARD: forward_id,
            }
            error = self.homeless.get(forward_id)
            if isinstance(error, TargetError):
                # One for each: who has accepted the one may be asked about the other.
                needs[f"leads_to_{error.target}_{forward_id}"] = Need(
                    key=f"leads_to_{error.target}",
                    placeholders={
                        "forward": self._entry.subentries[forward_id].title,
                        "host": as_text(error.placeholders["host"]),
                        "address": error.placeholders["address"],
                    },
                    data={**data, DATA_TARGET: error.target},
                )
            elif error:
                patience = _MISSED if keeper.is_open(forward_id, forward) else _ASLEEP
                if error.key == "device_gone":  # It does not come back by itself.
                    patience = timedelta(0)
                needs[f"host_lost_{forward_id}"] = Need(
                    key="host_lost",
                    placeholders={
                        "forward": self._entry.subentries[forward_id].title,
                        "problem": as_text(str(error)),
                    },
                    patience=patience,
                )
            opening = keeper.openings.get(forward_id)
            if (
                async_is_disabled(self._hass, forward_id)
                and keeper.is_open(forward_id, forward)
                and (opening is None or opening.deadline is None)
            ):
                needs[f"open_without_switch_{forward_id}"] = Need(
                    key="open_without_switch",
                    placeholders={
                        "forward": self._entry.subentries[forward_id].title,
                        "router": title,
                    },
                    data=data,
                )
            if forward and (refusal := keeper.why_not_plannable(forward)):
                problem = async_get_exception_message(
                    DOMAIN, refusal.translation_key, refusal.placeholders
                )
                needs[f"not_plannable_{forward_id}"] = Need(
                    key="not_plannable",
                    placeholders={
                        "forward": forward.name,
                        "router": title,
                        "problem": as_text(problem),
                    },
                )
            if forward and (rule := forward.adopted) and not any(map(rule.same_rule, rows)):
                needs[f"rule_changed_{forward_id}"] = Need(
                    key="rule_changed",
                    placeholders={"forward": forward.name, "router": title},
                )
        self._show(needs, self._history.needs.keys() - needs.keys())
        self._tell_unclosed()

    @callback
    def check_troubles(self) -> None:
        """Tell what the router does not do, or does again; all else is as it was at a look."""
        needs = self._troubles()
        entry_id = self._entry.entry_id
        self._show(
            needs, {f"router_refuses_{entry_id}", f"router_unconfirmed_{entry_id}"} - needs.keys()
        )
        self._tell_unclosed()

    def _troubles(self) -> dict[str, Need]:
        """Return what the router has answered last and goes on answering until somebody helps."""
        failing = self._history.observations.failing
        for operation in (*_LOOKS, *_CHANGES):
            error = failing.get(operation)
            if error is None:
                continue
            if isinstance(error, UnconfirmedRouterError):
                return {f"router_unconfirmed_{self._entry.entry_id}": self._unconfirmed()}
            is_denied = isinstance(error, MissingRightsError | ClockWrongError)
            if is_denied or (operation in _LOOKS and isinstance(error, UnsupportedError)):
                problem = async_get_exception_message(
                    DOMAIN, error.translation_key, error.placeholders
                )
                need = Need(
                    key="router_refuses",
                    placeholders={"router": self._entry.title, "problem": as_text(problem)},
                    patience=timedelta(0) if is_denied else _STARTING,
                )
                return {f"router_refuses_{self._entry.entry_id}": need}
        return {}

    def _unconfirmed(self) -> Need:
        """Ask whether what answers is the router of the entry."""
        url: str = self._entry.data[CONF_URL]
        return Need(
            key="router_unconfirmed",
            placeholders={"router": clean(self._entry.title), "url": code(url)},
            data={DATA_ENTRY: self._entry.entry_id, CONF_URL: url},
        )

    @callback
    def _show(self, needs: Mapping[str, Need], gone: Collection[str]) -> None:
        """Tell of what has lasted for long enough, and no more of what is `gone`."""
        now, since = dt_util.utcnow(), self._history.needs
        for issue_id, need in needs.items():
            if now - since.setdefault(issue_id, now) >= need.patience:
                async_tell(self._hass, issue_id, need)
        for issue_id in gone:
            since.pop(issue_id, None)
            ir.async_delete_issue(self._hass, DOMAIN, issue_id)


@callback
def async_withdraw_questions(
    hass: HomeAssistant, entry: ConfigEntry, *, kept: Collection[str]
) -> None:
    """Take back what is asked about forwards of a router besides those that are `kept`."""
    for (domain, issue_id), issue in tuple(ir.async_get(hass).issues.items()):
        data = issue.data or {}
        if (
            domain == DOMAIN
            and data.get(DATA_ENTRY) == entry.entry_id
            and DATA_FORWARD in data
            and data[DATA_FORWARD] not in kept
        ):
            ir.async_delete_issue(hass, DOMAIN, issue_id)


@callback
def async_withdraw_issues(
    hass: HomeAssistant, entry: ConfigEntry, forward_ids: Iterable[str]
) -> None:
    """Take back what was told of a router that nobody watches any more.

    `forward_ids` are those of forwards that it may have had besides those of the entry.
    """
    async_withdraw_questions(hass, entry, kept=())
    needs = async_history(hass, entry.entry_id).needs
    unclosed = (f"not_closed_{forward_id}" for forward_id in (*entry.subentries, *forward_ids))
    for issue_id in (*needs, *unclosed):
        ir.async_delete_issue(hass, DOMAIN, issue_id)
    needs.clear()
