"""What a user reads: the texts of the translations with their placeholders filled."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import custom_components.port_forward as integration

FOLDER = Path(integration.__file__).parent
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@cache
def texts() -> Mapping[str, str]:
    """Return every English text by its key, such as `exceptions.unreachable.message`."""
    stored = json.loads((FOLDER / "translations" / "en.json").read_text(encoding="utf-8"))
    return dict(_flat("", stored))


def placeholders(text: str) -> set[str]:
    """Return the names of the placeholders in a text."""
    return set(_PLACEHOLDER.findall(text))


def rendered(key: str, values: Mapping[str, object] | None = None) -> str:
    """Return the text as it is shown; raises AssertionError for one that would look broken."""
    text = texts().get(key)
    assert text is not None, f"no text for {key}"
    values = values or {}
    for name in placeholders(text):
        assert isinstance(values.get(name), str), f"{key} needs {name}, and got {values}"
        text = text.replace(f"{{{name}}}", str(values[name]))
    return text


def _flat(prefix: str, node: Mapping[str, object]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            found += _flat(f"{prefix}{key}.", value)
        else:
            found.append((f"{prefix}{key}", str(value)))
    return found
