"""What a user does in the browser, as the requests that the frontend makes of it."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from lab.home_assistant import RealHomeAssistant
from tests.e2e.forms import Step, suggested
from tests.e2e.waiting import GUARD, until

_ENTRIES = "/api/config/config_entries"
ROUTER_FLOW = f"{_ENTRIES}/flow"
FORWARD_FLOW = f"{_ENTRIES}/subentries/flow"
OPTIONS_FLOW = f"{_ENTRIES}/options/flow"


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """A router that was just added: its entry, and the first step of its first forward."""

    entry: str
    first_forward: Step


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardOnScreen:
    """A forward as the frontend knows it."""

    entry: str
    subentry: str
    name: str
    switch: str
    """The entity id."""


class Ui:
    """Settings → Devices & services, and the dashboard."""

    def __init__(self, ha: RealHomeAssistant) -> None:
        """Look at this Home Assistant."""
        self.ha = ha

    async def submit(self, flow: str, step: Step, **values: Any) -> Step:
        """Fill in the form of `step` and press the button; `flow` is one of the paths above.

        The values are flat: those of a section are sent within it.
        """
        for field in step.get("data_schema") or ():
            if field.get("type") == "expandable":
                inside = [each["name"] for each in field["schema"]]
                values[field["name"]] = {k: values.pop(k) for k in inside if k in values}
        answer: Step = await self.ha.post(f"{flow}/{step['flow_id']}", values)
        return answer

    async def discovered(self, cards: asyncio.Queue[Any], unique_id: str | None = None) -> Step:
        """Wait for the card of a router that was discovered, and open it.

        `cards` is a subscription to "config_entries/flow/subscribe"; without a
        `unique_id` it is the first card of any router.
        """
        async with asyncio.timeout(GUARD):
            while True:
                for card in await cards.get():
                    if card["type"] == "removed" or card["flow"]["handler"] != "port_forward":
                        continue
                    if unique_id in (None, card["flow"]["context"]["unique_id"]):
                        step: Step = await self.ha.get(f"{ROUTER_FLOW}/{card['flow_id']}")
                        return step

    async def add_discovered(
        self, cards: asyncio.Queue[Any], name: str, unique_id: str | None = None
    ) -> Added:
        """Wait for the card of the router, which must have this name, and add it."""
        step = await self.discovered(cards, unique_id)
        assert (step["type"], step["step_id"]) == ("form", "confirm")
        assert step["description_placeholders"]["name"] == name
        return await self.added(await self.submit(ROUTER_FLOW, step))

    async def start_adding_router(self) -> Step:
        """Press *Add entry* and go on to the form that asks for the URL."""
        step: Step = await self.ha.post(ROUTER_FLOW, {"handler": "port_forward"})
        assert (step["type"], step["step_id"]) == ("form", "user")
        step = await self.submit(ROUTER_FLOW, step, url="typed_in")
        assert (step["type"], step["step_id"]) == ("form", "url")
        return step

    async def add_router(self, url: str) -> Added:
        """Add the router whose description is at `url`."""
        step = await self.submit(ROUTER_FLOW, await self.start_adding_router(), url=url)
        return await self.added(step)

    async def added(self, step: Step) -> Added:
        """Follow a router flow that made its entry to the flow of the first forward."""
        if step.get("step_id") == "second_entry":
            # All routers of the tests are on one host.
            step = await self.submit(ROUTER_FLOW, step)
        assert step["type"] == "create_entry", step
        kind, flow_id = step["next_flow"]
        assert kind == "config_subentries_flow"
        first_forward = await self.ha.get(f"{FORWARD_FLOW}/{flow_id}")
        return Added(entry=step["result"]["entry_id"], first_forward=first_forward)

    async def start_reconfiguring_router(self, entry: str) -> Step:
        """Press *Reconfigure*."""
        step: Step = await self.ha.post(ROUTER_FLOW, {"handler": "port_forward", "entry_id": entry})
        return step

    async def start_adding_forward(self, entry: str) -> Step:
        """Press *Add port forward*."""
        step: Step = await self.ha.post(FORWARD_FLOW, {"handler": [entry, "forward"]})
        return step

    async def start_editing(self, forward: ForwardOnScreen) -> Step:
        """Press *Edit port forward*."""
        step: Step = await self.ha.post(
            FORWARD_FLOW,
            {"handler": [forward.entry, "forward"], "subentry_id": forward.subentry},
        )
        return step

    async def add_forward(
        self, entry: str, step: Step | None = None, **values: Any
    ) -> ForwardOnScreen:
        """Fill in the form of a forward, `step` or a new one, and wait for its switch.

        A risk is confirmed, and what was typed is typed once more.
        """
        known = {row["subentry_id"] for row in await self.subentries(entry)}
        step = await self.submit(
            FORWARD_FLOW, step or await self.start_adding_forward(entry), **values
        )
        if step.get("step_id") == "confirm_risk":
            asked = {field["name"] for field in step["data_schema"]}
            again = {key: value for key, value in values.items() if key in asked}
            step = await self.submit(FORWARD_FLOW, step, confirmed=True, **suggested(step) | again)
        assert step["type"] == "create_entry", step
        [new] = [row for row in await self.subentries(entry) if row["subentry_id"] not in known]
        switch = await self._switch_of(new["subentry_id"])
        await self.ha.wait_for_state(switch, lambda state: state in ("off", "on"))
        return ForwardOnScreen(
            entry=entry, subentry=new["subentry_id"], name=new["title"], switch=switch
        )

    async def until_saved(self, forward: ForwardOnScreen) -> None:
        """Wait until a new forward is on the disk: Home Assistant writes it a second later."""
        entries = self.ha.log.parent / ".storage" / "core.config_entries"
        await until(lambda: entries.exists() and forward.subentry in entries.read_text())

    async def subentries(self, entry: str) -> list[dict[str, Any]]:
        """Return the forwards of a router."""
        rows: list[dict[str, Any]] = await self.ha.command(
            "config_entries/subentries/list", entry_id=entry
        )
        return rows

    async def turn_on(self, forward: ForwardOnScreen) -> None:
        """Toggle the switch on; raises CommandError with what the user reads."""
        await self.ha.call("switch", "turn_on", entity_id=forward.switch)

    async def turn_off(self, forward: ForwardOnScreen) -> None:
        """Toggle the switch off; raises CommandError with what the user reads."""
        await self.ha.call("switch", "turn_off", entity_id=forward.switch)

    async def refresh(self, forward: ForwardOnScreen) -> None:
        """Ask for a new snapshot: at once, or up to 10 s after the last such request."""
        await self.ha.call("homeassistant", "update_entity", entity_id=forward.switch)

    async def is_on(self, forward: ForwardOnScreen) -> bool:
        """Tell what the switch shows; it must be available."""
        state = (await self.ha.state(forward.switch))["state"]
        assert state in ("off", "on")
        return bool(state == "on")

    async def delete_forward(self, forward: ForwardOnScreen) -> None:
        """Delete a forward."""
        await self.ha.command(
            "config_entries/subentries/delete",
            entry_id=forward.entry,
            subentry_id=forward.subentry,
        )

    async def delete_router(self, entry: str) -> None:
        """Delete a router."""
        await self.ha.delete(f"{_ENTRIES}/entry/{entry}")

    async def reload(self, entry: str) -> None:
        """Press *Reload*."""
        await self.ha.post(f"{_ENTRIES}/entry/{entry}/reload", {})

    async def disable(self, entry: str) -> None:
        """Press *Disable*."""
        await self.ha.command("config_entries/disable", entry_id=entry, disabled_by="user")

    async def enable(self, entry: str) -> None:
        """Press *Enable*."""
        await self.ha.command("config_entries/disable", entry_id=entry, disabled_by=None)

    async def set_options(self, entry: str, **values: Any) -> None:
        """Fill in the options and wait until the router is loaded with them."""
        async with await self.ha.subscribe("config_entries/subscribe") as changes:
            step: Step = await self.ha.post(OPTIONS_FLOW, {"handler": entry})
            step = await self.submit(OPTIONS_FLOW, step, **values)
            assert step["type"] == "create_entry", step
            await until_reloaded(changes, entry)

    async def texts(self, category: str) -> dict[str, str]:
        """Return the texts of the integration, as the frontend loads them for its forms."""
        answer = await self.ha.command(
            "frontend/get_translations",
            language="en",
            category=category,
            integration=["port_forward"],
        )
        texts: dict[str, str] = answer["resources"]
        return texts

    async def activities(self) -> AbstractAsyncContextManager[asyncio.Queue[Any]]:
        """Listen to what happens to forwards: `async with await ui.activities() as told`."""
        return await self.ha.subscribe("subscribe_events", event_type="port_forward_activity")

    async def happens(self, told: asyncio.Queue[Any], kind: str) -> dict[str, Any]:
        """Wait until that is among the `activities`, and return what is told of it."""
        async with asyncio.timeout(GUARD):
            while (activity := (await told.get())["data"])["kind"] != kind:
                pass
        return dict(activity)

    async def say(self, text: str) -> str:
        """Say something to Assist and return its answer."""
        answer = await self.ha.command("conversation/process", text=text, language="en")
        return str(answer["response"]["speech"]["plain"]["speech"])

    async def sensor(self, entry: str, key: str) -> str:
        """Return what the sensor of a router shows."""
        state = await self.ha.state(await self.entity_of(entry, key))
        return str(state["state"])

    async def entity_of(self, entry: str, key: str, platform: str = "") -> str:
        """Return the entity id of the only entity of a router or its forwards with this key.

        `platform` is needed where two platforms have that key.
        """
        [entity_id] = [
            row["entity_id"]
            for row in await self.ha.command("config/entity_registry/list")
            if row["config_entry_id"] == entry
            and row["translation_key"] == key
            and row["entity_id"].startswith(platform)
        ]
        return str(entity_id)

    async def mappings(self, entry: str) -> list[dict[str, Any]]:
        """Let Home Assistant look at the router now, and return what it holds."""
        answer = await self.ha.command(
            "call_service",
            domain="port_forward",
            service="list_mappings",
            service_data={"config_entry_id": entry},
            return_response=True,
        )
        rows: list[dict[str, Any]] = answer["response"]["mappings"]
        return rows

    async def repairs(self) -> list[dict[str, Any]]:
        """Return what *Repairs* tell of all routers."""
        issues = (await self.ha.command("repairs/list_issues"))["issues"]
        return [issue for issue in issues if issue["domain"] == "port_forward"]

    async def routers(self) -> list[dict[str, Any]]:
        """Return the entries of all routers."""
        rows: list[dict[str, Any]] = await self.ha.command(
            "config_entries/get", domain="port_forward"
        )
        return rows

    async def _switch_of(self, subentry: str) -> str:
        """Wait until the forward has its switch, and return the entity id."""
        changed = "entity_registry_updated"
        async with (
            await self.ha.subscribe("subscribe_events", event_type=changed) as events,
            asyncio.timeout(GUARD),
        ):
            while True:
                for row in await self.ha.command("config/entity_registry/list"):
                    entity_id: str = row["entity_id"]
                    if row["config_subentry_id"] == subentry and entity_id.startswith("switch."):
                        return entity_id
                await events.get()


async def until_reloaded(changes: asyncio.Queue[Any], entry: str) -> None:
    """Wait until the entry was unloaded and is loaded again.

    `changes` is a subscription to "config_entries/subscribe".
    """
    states: list[str] = []
    async with asyncio.timeout(GUARD):
        # "loaded" is old news until it has been unloaded.
        while "unload_in_progress" not in states or states[-1] != "loaded":
            states += [
                change["entry"]["state"]
                for change in await changes.get()
                if change["entry"]["entry_id"] == entry
            ]
