"""Ending the connections that a port forward let in: those that stand outlive its rule.

They are ended one by one. To kill all states of the internal host at once is
one request, but would end every other connection of that host too, and our own
where it is this machine; and the filter of that request loses the colons of an
IPv6 address. Source: OPNsense's core, scripts/filter/lib/states.py.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Final

from ..errors import MissingRightsError, ProtocolError
from ..model import PortMapping
from .api import STATES, Api, Reply
from .rule import Rule

KEEPS_CONNECTIONS: Final = "keeps_connections"
"""Key of `learned`: why connections cannot be ended when a port is closed."""


async def end_connections(
    api: Api, mapping: PortMapping, rules: Iterable[Rule], learned: MutableMapping[str, str]
) -> None:
    """End what came in by `mapping`, as far as the user may, and no rule lets in any more."""
    if KEEPS_CONNECTIONS in learned or any(_lets_in(rule, mapping) for rule in rules):
        return
    try:
        for state in sorted(_carried(await _query(api, mapping), mapping)):
            await api.write(f"{STATES}/del_state/{state}")
    except MissingRightsError:
        learned[KEEPS_CONNECTIONS] = "missing_rights"
    except ProtocolError as error:
        # The rule is gone, which is what counts; a table too long to read stays too long.
        learned[KEEPS_CONNECTIONS] = error.placeholders["detail"]


def _lets_in(rule: Rule, mapping: PortMapping) -> bool:
    ports = rule.external_ports
    return (
        rule.enabled
        and rule.fields.get("target") == mapping.internal_host
        and ports is not None
        and ports.overlaps(mapping.external_ports)
    )


async def _query(api: Api, mapping: PortMapping) -> Reply:
    # Colons are taken out of what is searched for, so IPv6 is found by its port.
    phrase = mapping.internal_host
    if mapping.is_pinhole:
        single = len(mapping.external_ports) == 1
        phrase = str(mapping.external_ports) if single else ""
    asked = {"current": 1, "rowCount": 9999, "searchPhrase": phrase}
    return await api.read(f"{STATES}/query_states", asked)


def _carried(reply: Reply, mapping: PortMapping) -> set[str]:
    """Return the ids of both halves of each connection: as it came in, and as it went on.

    A connection of the home to the same port of the same host has a half that
    looks just like the second; only the first tells it from ours.
    """
    rows = reply.get("rows")
    ours = list(_to_the_target(rows if isinstance(rows, list) else [], mapping))
    clients = {_client(state) for state in ours if _came_in(state, mapping)}
    return {str(state["id"]) for state in ours if _client(state) in clients}


def _to_the_target(rows: list[object], mapping: PortMapping) -> Iterator[Mapping[str, object]]:
    ports = {str(port) for port in mapping.internal_ports or mapping.external_ports}
    for row in rows:
        if (
            isinstance(row, dict)
            and row.get("id")
            and row.get("dst_addr") == mapping.internal_host
            and str(row.get("dst_port")) in ports
            and row.get("proto") in mapping.protocols
        ):
            yield row


def _came_in(state: Mapping[str, object], mapping: PortMapping) -> bool:
    if state.get("direction") != "in":
        return False
    nat_port = str(state.get("nat_port") or "")
    return mapping.is_pinhole or nat_port in {str(port) for port in mapping.external_ports}


def _client(state: Mapping[str, object]) -> tuple[object, object, object]:
    return state.get("proto"), state.get("src_addr"), state.get("src_port")
