"""An HTTP server that answers just what a test writes out."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.test_utils import TestServer

from custom_components.port_forward.routers.upnp.description import WanService

SERVICE_TYPE = "urn:schemas-upnp-org:service:WANIPConnection:{version}"

type Answer = Callable[[dict[str, str]], web.Response]
"""What to answer to the arguments of an action; a response can be sent only once."""


@dataclass
class Script:
    """What the server says to each action, and what it was asked."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    version: int = 1

    @property
    def service(self) -> WanService:
        """The one WAN."""
        return WanService(
            id="uuid:wan/WANIPConn1",
            service_type=SERVICE_TYPE.format(version=self.version),
            version=self.version,
            control_url=f"{self.url}/control",
            name="WAN",
        )


def reply(text: str, status: int = 200) -> Answer:
    """Answer with this body."""
    return lambda _: web.Response(text=text, status=status)


def success(action: str, **values: str) -> Answer:
    """Answer with these out-arguments."""
    written = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())
    return reply(f"<e><b><{action}Response>{written}</{action}Response></b></e>")


def fault(code: int | str) -> Answer:
    """Answer with an error of the action."""
    error = f"<UPnPError><errorCode>{code}</errorCode></UPnPError>"
    return reply(f"<Fault><detail>{error}</detail></Fault>", status=500)


@asynccontextmanager
async def scripted(
    answers: Mapping[str, Answer], *, version: int = 1, control_url: str = "/control"
) -> AsyncIterator[Script]:
    """Start the server; the description is that of one WAN, other actions answer 714."""
    script = Script(version=version, answers=dict(answers))

    async def describe(_: web.Request) -> web.Response:
        return web.Response(
            text=(
                "<root><device><UDN>uuid:root</UDN><serviceList><service>"
                f"<serviceType>{script.service.service_type}</serviceType>"
                f"<serviceId>WANIPConn1</serviceId><controlURL>{control_url}</controlURL>"
                "</service></serviceList></device></root>"
            )
        )

    async def control(request: web.Request) -> web.Response:
        action = request.headers["SOAPAction"].strip('"').partition("#")[2]
        arguments = dict(re.findall(r"<(New\w+)>([^<]*)</", await request.text()))
        script.asked.append((action, arguments))
        script.headers.append(dict(request.headers))
        return script.answers.get(action, fault(714))(arguments)

    app = web.Application()
    app.router.add_get("/", describe)
    app.router.add_post("/control", control)
    async with TestServer(app, host="127.0.0.1") as server:
        script.url = str(server.make_url("")).rstrip("/")
        yield script
