"""Looking for secrets wherever Home Assistant tells or writes something.

The one place where they belong is `core.config_entries`: there Home Assistant
keeps what an integration is configured with.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from lab.home_assistant import CommandError, RealHomeAssistant
from tests.e2e.log import LogBook

KEPT_BY_HOME_ASSISTANT = "core.config_entries"

_LOOKS = (
    "get_states",
    "repairs/list_issues",
    "system_log/list",
    "config_entries/flow/progress",
    "config/device_registry/list",
    "config/entity_registry/list",
)


class Overheard:
    """All that Home Assistant answers from now on, and all that is in its files.

    Among the answers are the steps of flows and what actions say when they
    fail.
    """

    def __init__(
        self, ha: RealHomeAssistant, log: LogBook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Begin to listen."""
        self._ha = ha
        self._log = log
        self._answers: list[tuple[str, str]] = []
        request, command = ha._request, ha.command

        async def overheard_request(
            method: str, path: str, body: Mapping[str, Any] | None = None
        ) -> object:
            try:
                answer: object = await request(method, path, body)
            except aiohttp.ClientResponseError as error:
                self.hear(f"{method} {path}", error.message)
                raise
            self.hear(f"{method} {path}", answer)
            return answer

        async def overheard_command(type_: str, **fields: object) -> object:
            try:
                answer: object = await command(type_, **fields)
            except CommandError as error:
                self.hear(type_, [error.message, error.placeholders])
                raise
            self.hear(type_, answer)
            return answer

        monkeypatch.setattr(ha, "_request", overheard_request)
        monkeypatch.setattr(ha, "command", overheard_command)

    def hear(self, place: str, told: object) -> None:
        """Note what was told in answer to something, or by itself."""
        text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False, default=str)
        self._answers.append((place, text))

    async def places_of(self, secrets: Iterable[str]) -> set[str]:
        """Return where one of these is to be found, in whatever spelling."""
        await self._look_around()
        needles = {spelling for secret in secrets for spelling in spellings(secret)}
        return {
            place
            for place, text in (*self._answers, *self._files())
            if any(needle in text for needle in needles)
        }

    async def _look_around(self) -> None:
        """Ask for all that is not told by itself."""
        await self._log.records()  # It is written then.
        for look in _LOOKS:
            await self._ha.command(look)
        async with await self._ha.subscribe("system_health/info") as told:
            self.hear("system_health/info", await told.get())
        for entry in await self._ha.command("config_entries/get", domain="port_forward"):
            await self._ha.command("config_entries/subentries/list", entry_id=entry["entry_id"])
            await self._ha.get(f"/api/diagnostics/config_entry/{entry['entry_id']}")

    def _files(self) -> Iterator[tuple[str, str]]:
        config = self._ha.log.parent
        for path in config.rglob("*"):
            if path.is_file() and not path.name.startswith(KEPT_BY_HOME_ASSISTANT):
                yield str(path.relative_to(config)), _read(path)


def spellings(secret: str) -> set[str]:
    """Return the secret as it looks in texts, in URLs, in JSON and within base64."""
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
    for before in range(3):
        # Without the first and the last letters, which depend on what is around it.
        encoded = b64encode(bytes(before) + secret.encode()).decode()
        inner = encoded[-(-before * 8 // 6) : (before + len(secret.encode())) * 8 // 6]
        found |= {inner, inner.translate(str.maketrans("+/", "-_"))}
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""  # Home Assistant writes a new file beside the old one, and renames it.
