"""What stands in the forms that the frontend shows, and what is typed into them."""

from typing import Any

type Step = dict[str, Any]
"""A step of a flow as Home Assistant answers it."""


def to_camera(port: int, leads_to: int, **instead: Any) -> dict[str, Any]:
    """Return what is typed for a forward of TCP `port` to that port of the camera.

    `instead` is what is typed into other fields, or differently into these.
    """
    return {
        # Killed, Home Assistant forgets which entities it had removed: each test has its own name.
        "name": f"Camera {port}",
        "internal_host": "127.0.0.1",
        "protocol": "tcp",
        "internal_ports": str(leads_to),
        "external_ports": str(port),
    } | instead


def suggested(step: Step) -> dict[str, Any]:
    """Return what stands in the fields of a form."""
    return {
        field["name"]: field["description"]["suggested_value"]
        for field in step["data_schema"]
        if "suggested_value" in (field.get("description") or {})
    }
