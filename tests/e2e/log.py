"""The log of `hass`, of which a test answers for its part."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from lab.home_assistant import RealHomeAssistant
from tests.e2e.waiting import until

# What Home Assistant says by itself, seen on a seeded configuration without a router.
NOISE = {
    r"Skipping pip installation of required modules": "we start it with --skip-pip",
    r"We found a custom integration (port_forward|lab_tracker) which has not": "said of them all",
    r"zlib_ng and isal are not available, falling back to zlib": "optional, and only faster",
    r"\[homeassistant\.helpers\.entity\] Updating state for .* took [\d.]+ s": "busy machine",
    r"\[homeassistant\.setup\] Setup of \w+ is taking over 10 seconds": "busy machine",
    r"Setup of \w+ platform \w+ is taking over 10 seconds": "busy machine",
}

_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*"
_RECORD = re.compile(rf"^{_TIME} (?P<level>[A-Z]+) \(.*?\) \[(?P<logger>.+?)\] ")
_MARKER = "tests.e2e.marker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What was logged at once, with its traceback."""

    level: str
    """"" for what was printed past the logger."""
    logger: str
    text: str

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look at it."""
        return self.level not in ("DEBUG", "INFO") or "blocking call" in self.text


class LogBook:
    """The part of the log that was written since this was made."""

    def __init__(self, ha: RealHomeAssistant) -> None:
        """Begin at the present end of the log."""
        self._ha = ha
        self._start = ha.log.stat().st_size if ha.log.exists() else 0
        self._provoked: dict[str, str] = dict(NOISE)

    def provoke(self, pattern: str, *, because: str) -> None:
        """Accept trouble whose text `pattern` finds, for a reason that readers can check."""
        self._provoked[pattern] = because

    async def records(self, pattern: str = "") -> list[Record]:
        """Return what was logged so far and contains `pattern`."""
        await self._flush()
        return [record for record in self._read() if re.search(pattern, record.text)]

    async def check(self) -> None:
        """Raise AssertionError with all trouble that was not provoked."""
        await self._flush()
        self.check_written()

    def check_written(self) -> None:
        """Do the same for a Home Assistant that has ended."""
        trouble = [
            record.text
            for record in self._read()
            if record.is_trouble and not any(re.search(p, record.text) for p in self._provoked)
        ]
        assert not trouble, "Home Assistant logged trouble:\n" + "\n".join(trouble)

    async def _flush(self) -> None:
        """Wait until what was logged is written: a thread of Home Assistant does that."""
        marker = f"read up to here: {uuid4()}"
        await self._ha.call("system_log", "write", message=marker, level="warning", logger=_MARKER)
        await until(lambda: marker in self.text())

    def text(self) -> str:
        """Return what is written by now, which may lag behind what was logged."""
        return _since(self._ha.log, self._start)

    def _read(self) -> Iterator[Record]:
        lines: list[str] = []
        for line in self.text().splitlines():
            if _RECORD.match(line) and lines:
                yield from _record(lines)
                lines = []
            lines.append(line)
        yield from _record(lines)


def _record(lines: list[str]) -> Iterator[Record]:
    text = "\n".join(lines).strip()
    head = _RECORD.match(text)
    if text and not (head and head["logger"] == _MARKER):
        yield Record(
            level=head["level"] if head else "", logger=head["logger"] if head else "", text=text
        )


def _since(path: Path, start: int) -> str:
    with path.open("rb") as log:
        log.seek(start)
        return log.read().decode(errors="replace")
