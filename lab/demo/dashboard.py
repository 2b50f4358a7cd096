"""The dashboard of the demo."""

from typing import Any

from .scene import Scene

TITLE = "Port Forward"
URL_PATH = "port-forward"

CAMERA_SWITCH = "switch.front_door_camera"
INTERCOM_SWITCH = "switch.intercom"

FULL_WIDTH = {"columns": "full"}
_PRESS = {
    "action": "perform-action",
    "perform_action": "port_forward.close_all",
}

TO_TRY = """\
1. Switch on **Front door camera**. It answers at [{camera}]({camera}) and here on the dashboard, \
until you switch it off.
2. Look at {look}. It shows what the router really holds.
3. Add a port forward of your own: [Devices & services]({integration}) → *Add port forward*. \
The camera is at internal host `{host}`, port `{port}`.

{about}
"""


def dashboard(scene: Scene) -> dict[str, Any]:
    """Return the configuration of the dashboard."""
    camera = scene.camera_url
    return {
        "views": [
            {
                "title": "Port Forward",
                "path": "home",
                "type": "sections",
                "max_columns": 2,
                "sections": [
                    {
                        "type": "grid",
                        "cards": [
                            _heading("Port forwards", "mdi:door-open"),
                            _switch(CAMERA_SWITCH),
                            _switch(INTERCOM_SWITCH),
                            {
                                "type": "tile",
                                "entity": "sensor.front_door_camera_closes_at",
                                "name": "Closes at",
                                "grid_options": FULL_WIDTH,
                                "visibility": [_while_camera_is("on")],
                            },
                            {
                                "type": "iframe",
                                "url": camera,
                                "grid_options": {**FULL_WIDTH, "rows": 7},
                                "visibility": [_while_camera_is("on")],
                            },
                            {
                                "type": "markdown",
                                "content": f"Nothing answers at {camera}: the port is closed.",
                                "visibility": [_while_camera_is("off")],
                            },
                        ],
                    },
                    {
                        "type": "grid",
                        "cards": [
                            _heading("Router", "mdi:router-wireless"),
                            _sensor("external_ip_address", "External IP address"),
                            _sensor("open_forwards", "Open forwards"),
                            _sensor("foreign_mappings", "Foreign mappings"),
                            _of_router("switch", "lockdown", "Lockdown")
                            | {"features": [{"type": "toggle"}], "features_position": "inline"},
                            _of_router("button", "close_all", "Close all")
                            | {"hide_state": True, "tap_action": _PRESS},
                            _heading("Three things to try", "mdi:lightbulb-on-outline"),
                            {
                                "type": "markdown",
                                "content": TO_TRY.format(
                                    camera=camera,
                                    look=scene.look,
                                    about=scene.about,
                                    integration="/config/integrations/integration/port_forward",
                                    host=scene.camera_host,
                                    port=scene.ports.camera,
                                ),
                            },
                        ],
                    },
                ],
            }
        ]
    }


def _heading(text: str, icon: str) -> dict[str, Any]:
    return {"type": "heading", "heading": text, "icon": icon}


def _switch(entity_id: str) -> dict[str, Any]:
    return {
        "type": "tile",
        "entity": entity_id,
        "features": [{"type": "toggle"}],
        "features_position": "inline",
    }


def _sensor(key: str, name: str) -> dict[str, Any]:
    return _of_router("sensor", key, name)


def _of_router(domain: str, key: str, name: str) -> dict[str, Any]:
    return {
        "type": "tile",
        "entity": f"{domain}.demo_router_{key}",
        "name": name,
        "grid_options": FULL_WIDTH,
    }


def _while_camera_is(state: str) -> dict[str, str]:
    return {"condition": "state", "entity": CAMERA_SWITCH, "state": state}
