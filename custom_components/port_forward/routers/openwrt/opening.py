"""Opening one forward: all of its sections stand afterwards, or none that this made."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from itertools import takewhile
from typing import Final

from ..errors import (
    ClockWrongError,
    InvalidForwardError,
    NotMappedError,
    RouterError,
    RouterUnreachableError,
    UnsupportedError,
)
from ..model import Forward, PortMapping, PortRange
from .changes import Configuration, Edit
from .clock import RouterClock
from .conflict import check_free
from .router_state import RouterState
from .sections import (
    REDIRECT,
    RULE,
    Options,
    Section,
    own_name,
    read_mapping,
    source_text,
    title_of,
    values_of,
)

MOST_SECTIONS: Final = 64
"""Sections of one forward: more would make each reload of the firewall slow."""


def planned(forward: Forward) -> tuple[PortMapping, ...]:
    """Return the mappings of a forward, one for each section.

    A range that is translated to another one needs a section for each port:
    fw4 would send all of it to the first (see `sections.read_mapping`).
    """
    pairs = [(forward.external_ports, forward.internal_ports)]
    if forward.external_ports != forward.internal_ports:
        pairs = [
            (PortRange.single(external), PortRange.single(internal))
            for external, internal in zip(
                forward.external_ports, forward.internal_ports, strict=True
            )
        ]
    if len(pairs) > MOST_SECTIONS:
        detail = f"a range of more than {MOST_SECTIONS} ports needs the same ports inside"
        raise InvalidForwardError(
            port=str(forward.external_ports), host=str(forward.internal_host), detail=detail
        )
    leads_to = [(host, pair) for host in (forward.internal_host,) if host for pair in pairs]
    targets = [(str(host), external, internal) for host, (external, internal) in leads_to]
    if forward.internal_host6:
        targets.append(
            (str(forward.internal_host6), forward.external_ports, forward.internal_ports)
        )
    source = forward.allowed_source
    return tuple(
        PortMapping(
            protocols=tuple(sorted(forward.protocols)),
            external_ports=external,
            internal_host=host,
            internal_ports=internal,
            allowed_source=source_text(str(source)) if source and source.prefixlen else "",
            description=title_of(forward.name),
            id=own_name(forward.owner, number),
        )
        for number, (host, external, internal) in enumerate(targets)
    )


class Opening:
    """One call of `open`, and what it made so far."""

    def __init__(
        self,
        configuration: Configuration,
        state: RouterState,
        forward: Forward,
        plan: Sequence[PortMapping],
    ) -> None:
        """Take what `open` was called with."""
        self._configuration = configuration
        self._state = state
        self._forward = forward
        self._plan = plan
        self._wanted: Mapping[str, Options] = {}
        # Sections that are there because of this call, from the moment that they may be.
        self._made: tuple[PortMapping, ...] = ()

    async def run(self, lease: timedelta) -> tuple[PortMapping, ...]:
        """Write every section, and return the mappings as read back."""
        clock = await self._state.clock()
        if lease and not clock.is_right:
            raise ClockWrongError(host=self._state.host, off=_told(clock.wrong_by))
        stop_date = clock.stop_date(lease) if lease else ""
        sections = await self._configuration.read()
        self._wanted = await self._written(sections, stop_date)
        try:
            await self._configuration.change(lambda now: self._edits(now, clock))
            return await self._verify()
        except RouterError as error:
            await self._roll_back(error)
            raise

    async def _written(self, sections: Sequence[Section], stop_date: str) -> Mapping[str, Options]:
        """Return the options of each section by its name."""
        network = await self._state.network(sections)
        if network.zone is None:
            detail = "no zone of its firewall leads to the internet"
            raise UnsupportedError(host=self._state.host, detail=detail)
        wanted: dict[str, Options] = {}
        for mapping in self._plan:
            inside = network.zone_of(ip_address(mapping.internal_host))
            if inside is None:
                detail = "no zone of the firewall has this host in it"
                raise InvalidForwardError(
                    port=str(mapping.external_ports), host=mapping.internal_host, detail=detail
                )
            wanted[mapping.id] = values_of(
                mapping,
                zone=network.zone,
                inside=inside,
                name=title_of(self._forward.name),
                stop_date=stop_date,
            )
        return wanted

    def _edits(self, sections: Sequence[Section], clock: RouterClock) -> list[Edit]:
        """Return what is to be changed; raises PortConflictError for a port that is taken.

        Sections with the names of this forward are ours, whatever became of
        them: those that are not wanted any more are from when it led elsewhere.
        """
        others = [s for s in sections if not self._forward.owner.has_made(s.owner)]
        held = {section.name: section for section in sections if section not in others}
        for mapping in self._plan:
            zone = str(self._wanted[mapping.id]["src"])
            check_free(mapping, zone, others, clock)
        # Asked a second time when the first try was taken back: what it made may be there.
        new = (mapping for mapping in self._plan if mapping.id not in held)
        self._made = tuple(dict.fromkeys((*self._made, *new)))
        stale = [
            Edit(name=section.name, type=section.type, before=section, options=None)
            for section in held.values()
            if section.name not in self._wanted
        ]
        return stale + [
            Edit(
                name=mapping.id,
                type=RULE if mapping.is_pinhole else REDIRECT,
                before=held.get(mapping.id),
                options=self._wanted[mapping.id],
            )
            for mapping in self._plan
        ]

    async def _verify(self) -> tuple[PortMapping, ...]:
        """Return the mappings as committed, and as rendered where the rights allow."""
        written = await self._configuration.read()
        sections = {section.name: section for section in written}
        for mapping in self._plan:
            section = sections.get(mapping.id)
            if section is None or dict(section.options) != dict(self._wanted[mapping.id]):
                raise NotMappedError(port=str(mapping.external_ports))
        clock = await self._state.clock()
        self._check_first(written, clock)
        hits = await self._state.until_rendered(
            [(mapping, sections[mapping.id]) for mapping in self._plan]
        )
        return tuple(
            replace(row, hits=count)
            for mapping, count in zip(self._plan, hits, strict=True)
            if (row := read_mapping(sections[mapping.id], clock))
        )

    def _check_first(self, sections: Sequence[Section], clock: RouterClock) -> None:
        """Make sure that nobody was faster: of two for a port, the one that stands first decides.

        In LuCI somebody may have written one since we looked.
        """
        for mapping in self._made:
            zone = str(self._wanted[mapping.id]["src"])
            before = takewhile(lambda section: section.name != mapping.id, sections)  # noqa: B023  used up at once
            check_free(
                mapping,
                zone,
                (s for s in before if not self._forward.owner.has_made(s.owner)),
                clock,
            )

    async def _roll_back(self, error: RouterError) -> None:
        """Take back what this call made; what may still stand is told in `error.left`."""
        if not self._made:
            return
        if isinstance(error, RouterUnreachableError):
            # To try again would take just as long to fail.
            error.left = self._made
            return
        made = {mapping.id for mapping in self._made}
        try:
            await self._configuration.change(
                lambda sections: [
                    Edit(name=section.name, type=section.type, before=section, options=None)
                    for section in sections
                    if section.name in made
                ]
            )
        except RouterError:
            error.left = self._made


def _told(off: timedelta) -> str:
    """Return by how much a clock is off, in a unit that everybody reads."""
    minutes = off / timedelta(minutes=1)
    for unit, length in (("d", 1440), ("h", 60), ("min", 1)):
        if abs(minutes) >= 2 * length:
            return f"{minutes / length:+.0f} {unit}"
    return f"{minutes:+.0f} min"
