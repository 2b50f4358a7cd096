"""The demo's home: what a user would click together on the first evening.

Everything goes through the calls that the frontend makes, so that the demo
shows what a user gets.
"""

from collections.abc import Mapping
from typing import Any

from ..home_assistant import RealHomeAssistant
from .dashboard import TITLE, URL_PATH, dashboard
from .scene import Scene

DOMAIN = "port_forward"
ENTRIES = "/api/config/config_entries/entry"
FLOW = "/api/config/config_entries/flow"
SUBENTRY_FLOW = "/api/config/config_entries/subentries/flow"

type Json = dict[str, Any]


def forwards(scene: Scene) -> list[Json]:
    """Return the forwards of the demo as the form takes them.

    Both lead to the camera, which shows its picture over TCP and echoes UDP.
    """
    where: Json = {
        "internal_host": scene.camera_host,
        "internal_ports": str(scene.ports.camera),
        "external_ports": str(scene.ports.external),
        "more": {},
    }
    return [
        {"name": "Front door camera", "protocol": "tcp", **where},
        {"name": "Intercom", "protocol": "udp", **where},
    ]


async def furnish(ha: RealHomeAssistant, scene: Scene) -> None:
    """Add the router, its forwards and the dashboard."""
    form = await ha.post(FLOW, {"handler": DOMAIN})
    await ha.post(f"{FLOW}/{form['flow_id']}", {"url": "typed_in"})
    entry = await _submit(ha, FLOW, form["flow_id"], {"url": scene.description_url})
    entry_id = entry["result"]["entry_id"]
    # The router's flow has led on to the form of the first forward.
    _, first_form = entry["next_flow"]
    first, *others = forwards(scene)
    await _submit(ha, SUBENTRY_FLOW, first_form, first)
    for forward in others:
        form = await ha.post(SUBENTRY_FLOW, {"handler": [entry_id, "forward"]})
        await _submit(ha, SUBENTRY_FLOW, form["flow_id"], forward)
    await ha.command(
        "lovelace/dashboards/create",
        title=TITLE,
        url_path=URL_PATH,
        icon="mdi:door-open",
        show_in_sidebar=True,
        require_admin=False,
    )
    await ha.command("lovelace/config/save", url_path=URL_PATH, config=dashboard(scene))
    await ha.command("frontend/set_system_data", key="core", value={"default_panel": URL_PATH})


async def move(ha: RealHomeAssistant, scene: Scene) -> None:
    """Tell Home Assistant that ports have changed since the last run.

    What the user has deleted meanwhile stays deleted.
    """
    by_name = {forward["name"]: forward for forward in forwards(scene)}
    for entry in await ha.get(f"{ENTRIES}?domain={DOMAIN}"):
        entry_id = entry["entry_id"]
        # The forwards first: with the router, Home Assistant opens again what was open.
        for subentry in await ha.command("config_entries/subentries/list", entry_id=entry_id):
            if forward := by_name.get(subentry["title"]):
                form = await ha.post(
                    SUBENTRY_FLOW,
                    {"handler": [entry_id, "forward"], "subentry_id": subentry["subentry_id"]},
                )
                await _submit(ha, SUBENTRY_FLOW, form["flow_id"], forward)
        form = await ha.post(FLOW, {"handler": DOMAIN, "entry_id": entry_id})
        await _submit(ha, FLOW, form["flow_id"], {"url": scene.description_url})
        # Home Assistant does it by itself, but we wait for it before we say that all is ready.
        await ha.post(f"{ENTRIES}/{entry_id}/reload", {})
    boards = await ha.command("lovelace/dashboards/list")
    if any(board["url_path"] == URL_PATH for board in boards):
        await ha.command("lovelace/config/save", url_path=URL_PATH, config=dashboard(scene))


async def _submit(
    ha: RealHomeAssistant, path: str, flow_id: str, values: Mapping[str, Any]
) -> Json:
    """Fill in a form and return what follows. Raises RuntimeError when it is refused."""
    result: Json = await ha.post(f"{path}/{flow_id}", values)
    if errors := result.get("errors"):
        raise RuntimeError(f"Home Assistant refused {dict(values)}: {errors}")
    return result
