"""A destination NAT rule: its fields, what is valid in them, and how it is shown."""

import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address, ip_network
from typing import cast

from .options import OPTIONS

type Fields = dict[str, str]
"""Every field by its dotted name, such as `source.network`, in the order of the model."""

DEFAULTS: Mapping[str, str] = {
    "sequence": "",
    "disabled": "0",
    "nordr": "0",
    "interface": "",
    "ipprotocol": "",
    "protocol": "",
    "source.network": "",
    "source.address": "",
    "source.port": "",
    "source.not": "0",
    "destination.network": "",
    "destination.address": "",
    "destination.port": "",
    "destination.not": "0",
    "target": "",
    "local-port": "",
    "poolopts": "",
    "log": "0",
    "category": "",
    "categories": "",
    "descr": "",
    "tag": "",
    "tagged": "",
    "nosync": "0",
    "natreflection": "",
    "pass": "",
    "associated-rule-id": "",
    "created.username": "",
    "created.time": "",
    "created.description": "",
    "updated.username": "",
    "updated.time": "",
    "updated.description": "",
}

WELL_KNOWN_PORTS = {"ssh": 22, "domain": 53, "http": 80, "https": 443}  # some of them

_PORTS = "Ports are only valid for TCP or UDP type rules."
_BAD_PORT = "Please specify a valid port number, well-known name, alias or range."
_BAD_LOCAL_PORT = "Please specify a valid port number or alias."
_BAD_FAMILY = "Address type should match selected TCP/IP protocol version."


def flatten(rule: Mapping[str, object]) -> Fields:
    """Return the fields that the `rule` of a request names; unknown ones are left out."""
    flat: Fields = {}
    for key, value in rule.items():
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, object]", value)
            flat.update({f"{key}.{name}": str(text) for name, text in inner.items()})
        else:
            flat[key] = str(value)
    if "protocol" in flat:
        flat["protocol"] = flat["protocol"].lower()
    return {key: value for key, value in flat.items() if key in DEFAULTS}


def validate(
    fields: Fields, interfaces: Mapping[str, str], aliases: Collection[str]
) -> dict[str, str]:
    """Return what is wrong, by field as the server names it."""
    wrong: dict[str, str] = {}
    for name in filter(None, fields["interface"].split(",")):
        if name not in interfaces:
            wrong["rule.interface"] = f"Option [{name}] not in list."
    for key, options in OPTIONS.items():
        if fields[key] not in options:
            wrong[f"rule.{key}"] = f"Option [{fields[key]}] not in list."
    for key in ("source.network", "destination.network", "target"):
        if not _is_network(fields[key], interfaces, aliases):
            wrong[f"rule.{key}"] = f"{fields[key]} is not a valid source IP address or alias."
        elif not _fits_family(fields[key], fields["ipprotocol"]):
            wrong[f"rule.{key}"] = _BAD_FAMILY
    return wrong | _validate_ports(fields, aliases)


def _validate_ports(fields: Fields, aliases: Collection[str]) -> dict[str, str]:
    keys = ("source.port", "destination.port", "local-port")
    if fields["protocol"] not in ("tcp", "udp", "tcp/udp"):
        return {f"rule.{key}": _PORTS for key in keys if fields[key]}
    wrong = {
        f"rule.{key}": _BAD_PORT
        for key in keys[:2]
        if not _is_port(fields[key], aliases, ranges=True)
    }
    if not _is_port(fields["local-port"], aliases, ranges=False):
        wrong["rule.local-port"] = _BAD_LOCAL_PORT
    return wrong


def ports_of(text: str) -> tuple[int, int] | None:
    """Return first and last of a port, name or range; None for an alias or any port."""
    if not re.fullmatch(r"\d+(-\d+)?", text):
        known = WELL_KNOWN_PORTS.get(text)
        return (known, known) if known else None
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _is_network(text: str, interfaces: Mapping[str, str], aliases: Collection[str]) -> bool:
    names = {"", "any", "(self)", *interfaces, *(f"{name}ip" for name in interfaces), *aliases}
    if text in names:
        return True
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _fits_family(text: str, ipprotocol: str) -> bool:
    try:
        version = ip_address(text.partition("/")[0]).version
    except ValueError:
        return True
    return ipprotocol != {4: "inet6", 6: "inet"}[version]


def _is_port(text: str, aliases: Collection[str], *, ranges: bool) -> bool:
    if text == "" or text in aliases:
        return True
    if not ranges and "-" in text:
        return False
    span = ports_of(text)
    return span is not None and 1 <= span[0] <= span[1] <= 65535  # noqa: PLR2004  the highest port
