"""Masks what is personal in what is shown to strangers, and leaves what tells them something.

Each address, name and id gets a label that is always the same within one
`Mask`, so that two rows that lead to one host can still be seen to.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import quote

from .routers.addresses import is_public

SECRET: Final = "**REDACTED**"  # noqa: S105  what stands in its place

_LONGEST: Final = 300

# What an address is called for where it can be reached from.
_KINDS: Final[Mapping[IPv4Network | IPv6Network, str]] = {
    IPv4Network("10.0.0.0/8"): "lan",
    IPv4Network("172.16.0.0/12"): "lan",
    IPv4Network("192.168.0.0/16"): "lan",
    IPv4Network("100.64.0.0/10"): "shared",  # RFC 6598
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("fc00::/7"): "unique-local",  # RFC 4193
    IPv6Network("2000::/3"): "ipv6",
}

# Of a URL. Before names that are known: nobody knows the password behind one of them.
_USERINFO = r"(?<=://)[^\s/@]+(?=@)"
_HEX = "[0-9A-Fa-f]"
# What may be an address is looked at more closely; the first that fits at a place decides.
_PATTERNS: Final = {
    "uuid": rf"(?<!{_HEX}){_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}(?!{_HEX})",
    "mac": rf"(?<![\w:-]){_HEX}{{2}}(?:[:-]{_HEX}{{2}}){{5,7}}(?![\w:-])"
    rf"|(?<![\w.]){_HEX}{{4}}\.{_HEX}{{4}}\.{_HEX}{{4}}(?![\w.])",
    "ipv6": rf"(?<![\w:.])(?:{_HEX}{{0,4}}:){{2,7}}(?:\d{{1,3}}(?:\.\d{{1,3}}){{3}}|{_HEX}{{0,4}})"
    r"(?:%\w+)?(?![\w:])",
    "ipv4": r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)",
    # Not the codes of UniFi, such as api.err.InvalidObject.
    "host": r"(?<![\w.-])(?!api\.err\.)(?:[\w-]+@)?(?:[\w-]+\.)+[^\W\d]{2,}(?![\w-])",
    # Keys, tokens, serial numbers, fingerprints: long, and with digits in them. Not the names of
    # services and actions, such as WANIPv6FirewallControl.
    "id": r"(?<![\w+/=-])(?:(?=(?:[A-Za-z+/=_-]*\d){3})[\w+/=-]{12,}"
    r"|(?=[A-Za-z+/=_-]*\d)[\w+/=-]{24,})(?![\w+/=-])",
}


class Mask:
    """The labels of one text or one set of texts."""

    def __init__(self, *, secrets: Iterable[str], names: Mapping[str, str]) -> None:
        """Take what must not be seen in any spelling, and labels for names (at least "")."""
        self._labels: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._secrets = {
            spelling for secret in secrets if secret for spelling in _spellings(secret)
        }
        self._names = {name.casefold(): label for name, label in names.items() if name}
        words = [
            *sorted(map(re.escape, self._secrets), key=len, reverse=True),
            *(
                rf"(?<![\w.-]){word}(?![\w-]|\.\w)"
                for word in sorted(map(re.escape, self._names), key=len, reverse=True)
            ),
        ]
        groups = [f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()]
        if words:
            groups.insert(0, f"(?P<word>{'|'.join(words)})")
        groups.insert(0, f"(?P<userinfo>{_USERINFO})")
        self._pattern = re.compile("|".join(groups), re.IGNORECASE)

    def text(self, text: str) -> str:
        """Return the beginning of a text, with labels in place of all that is personal."""
        masked = self._pattern.sub(self._masked, text)
        return masked if len(masked) <= _LONGEST else f"{masked[:_LONGEST]}…"

    def host(self, host: str) -> str:
        """Return the label of an address or a name of a host; what is none is one as well."""
        with suppress(ValueError):
            return self.address(ip_address(host.strip("[]")))
        if host in ("", "*"):
            return host
        return self._names.get(host.casefold()) or self.label("host", host.casefold())

    def name(self, name: str, kind: str) -> str:
        """Return the label of a name, one of this kind where it has none."""
        return self._names.get(name.casefold()) or self.label(kind, name)

    def address(self, address: IPv4Address | IPv6Address) -> str:
        """Return the label of an address, such as `lan-2`; one that is no host's is shown."""
        if address.is_unspecified:
            return str(address)
        if label := self._names.get(str(address)):
            return label
        return self.label(_kind_of(address), str(address))

    def source(self, source: IPv4Network | IPv6Network | str) -> str:
        """Return the label of an address or a network, with its size; any source is shown."""
        try:
            network = ip_network(source, strict=False)
        except ValueError:
            return self.host(str(source))
        label = self.address(network.network_address)
        return label if network.num_addresses == 1 else f"{label}/{network.prefixlen}"

    def label(self, kind: str, value: str) -> str:
        """Return the label of a value, such as `id-3`; "" stays so."""
        if not value:
            return ""
        if (kind, value) not in self._labels:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._labels[kind, value] = f"{kind}-{self._counts[kind]}"
        return self._labels[kind, value]

    def _masked(self, match: re.Match[str]) -> str:
        found = match[0]
        match match.lastgroup:
            case "word":
                return SECRET if found in self._secrets else self._named(found)
            case "userinfo":
                return SECRET
            case "ipv4" | "ipv6":
                with suppress(ValueError):
                    return self.address(ip_address(found))
                return found  # A time or a version, perhaps.
            case "host":
                return self.host(found)
            case kind:
                return self.label("id" if kind == "uuid" else str(kind), found.casefold())

    def _named(self, found: str) -> str:
        # A secret that is spelled in other letters is found as well, and is no name.
        return self._names.get(found.casefold(), SECRET)


def _spellings(secret: str) -> set[str]:
    """Return the secret as it looks in texts, in URLs, and in base64 by itself."""
    return {secret, quote(secret, safe=""), b64encode(secret.encode()).decode()}


def _kind_of(address: IPv4Address | IPv6Address) -> str:
    """Return what kind of address it is."""
    for network, kind in _KINDS.items():
        if address in network:
            return kind
    return "public" if isinstance(address, IPv4Address) and is_public(address) else "reserved"
