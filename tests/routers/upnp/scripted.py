"""An HTTP server that answers just what a test writes out."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.test_utils import TestServer

from custom_components.port_forward.routers.upnp.description import WanService

SERVICE_TYPE = "urn:schemas-upnp-org:service:WANIPConnection:{version}"


@dataclass
class Script:
    """What the server says to each action; a function is given the action's arguments."""

    url: str = ""
    answers: dict[str, web.Response | Callable[[dict[str, str]], web.Response]] = field(
        default_factory=dict
    )
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


def success(action: str, **values: str) -> web.Response:
    """An answer with these out-arguments."""
    written = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())
    return web.Response(text=f"<e><b><{action}Response>{written}</{action}Response></b></e>")


def fault(code: int | str) -> web.Response:
    """An error of an action."""
    text = f"<Fault><detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail></Fault>"
    return web.Response(text=text, status=500)


@asynccontextmanager
async def scripted(version: int = 1, **answers: Any) -> AsyncIterator[Script]:
    """Start the server; the description is that of one WAN."""
    script = Script(version=version, answers=answers)

    async def describe(_: web.Request) -> web.Response:
        if isinstance(answer := script.answers.get("GET"), web.Response):
            return answer
        return web.Response(
            text=(
                "<root><device><UDN>uuid:root</UDN><serviceList><service>"
                f"<serviceType>{script.service.service_type}</serviceType>"
                "<serviceId>WANIPConn1</serviceId><controlURL>/control</controlURL>"
                "</service></serviceList></device></root>"
            )
        )

    async def control(request: web.Request) -> web.Response:
        action = request.headers["SOAPAction"].strip('"').partition("#")[2]
        arguments = dict(re.findall(r"<(New\w+)>([^<]*)</", await request.text()))
        script.asked.append((action, arguments))
        script.headers.append(dict(request.headers))
        answer = script.answers.get(action, fault(714))
        return answer(arguments) if callable(answer) else answer

    app = web.Application()
    app.router.add_get("/", describe)
    app.router.add_post("/control", control)
    async with TestServer(app, host="127.0.0.1") as server:
        script.url = str(server.make_url("")).rstrip("/")
        yield script
