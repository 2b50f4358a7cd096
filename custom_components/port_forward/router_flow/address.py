"""What a user types to say where the router is."""

from dataclasses import dataclass
from typing import Self

from homeassistant.const import CONF_URL
from yarl import URL

PCP = "pcp"
WEB = ("http", "https")


class AddressError(Exception):
    """What was typed in at `field` cannot be used; `key` and `placeholders` say why."""

    def __init__(self, key: str, *, field: str = CONF_URL, **placeholders: str) -> None:
        """Take the translation key."""
        super().__init__(key)
        self.key = key
        self.field = field
        self.placeholders = placeholders


@dataclass(frozen=True, slots=True)
class Address:
    """Where a router is; `url` always has a host.

    `scheme` is what is spoken there, None where it was not said: then `url` is
    that of a web server.
    """

    url: URL
    scheme: str | None

    @classmethod
    def parse(cls, text: str, *, scheme: str | None = None) -> Self:
        """Read `192.168.1.1`, `router.lan:5351`, `http://192.168.1.1:5000/desc.xml` or `pcp://…`.

        `scheme` is meant where the text has none, and no other is allowed; http
        stands for https as well. Raises AddressError for anything else.
        """
        text = text.strip()
        # With a path, it can only be that of a document.
        is_said = "://" in text or "/" in text.rstrip("/")
        try:
            url = URL(text if "://" in text else f"{scheme or 'http'}://{text}")
            port = url.explicit_port
        except ValueError as error:
            raise AddressError("invalid_url") from error
        allowed = {PCP: (PCP,), None: (PCP, *WEB)}.get(scheme, WEB)
        if url.scheme not in allowed or not url.host or port == 0:
            raise AddressError("invalid_url")
        return cls(url, url.scheme if is_said or scheme else None)

    @property
    def host(self) -> str:
        """The name or address of the router."""
        return self.url.host or ""

    @property
    def port(self) -> int | None:
        """The port that was typed in, if any was."""
        return self.url.explicit_port

    @property
    def is_host_alone(self) -> bool:
        """Tell whether neither a document nor a port was typed in."""
        return self.url.path in ("", "/") and self.port is None
