"""The sites of a controller and the WANs of a site, for the user to choose from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .api import Api
from .forwards import id_of

_WAN_GROUP = re.compile(r"WAN[2-9]?")


@dataclass(frozen=True, kw_only=True, slots=True)
class UnifiSite:
    """A site of the controller: `name` for the settings, `title` for people."""

    id: str
    name: str
    title: str
    role: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UnifiWan:
    """A WAN of the site: `interface` for the settings, `title` for people."""

    interface: str
    title: str


async def read_sites(api: Api) -> Sequence[UnifiSite]:
    """Return the sites that the account may see."""
    return [
        UnifiSite(
            id=id_of(row),
            name=str(row["name"]),
            title=str(row.get("desc") or row["name"]),
            role=str(row.get("role") or ""),
        )
        for row in await api.sites()
        if id_of(row) and row.get("name")
    ]


async def read_wans(api: Api) -> Sequence[UnifiWan]:
    """Return the WANs of the site, by the names that its forwards use for them."""
    found: list[UnifiWan] = []
    for row in await api.read("rest/networkconf"):
        group = str(row.get("wan_networkgroup") or "")
        if row.get("purpose") == "wan" and _WAN_GROUP.fullmatch(group):
            interface = group.lower()
            found.append(UnifiWan(interface=interface, title=str(row.get("name") or interface)))
    return found
