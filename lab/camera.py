"""A front door camera to forward a port to: `python -m lab.camera --port 8080`.

A web page with a picture and a running clock, and on the same port number a
UDP echo. Prints its address when it is ready; SIGTERM and SIGINT end it.
"""

import argparse
import asyncio
import signal
import socket
from datetime import datetime
from types import TracebackType
from typing import Self, override

from aiohttp import web

BIND_TRIES = 50

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Front door camera</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #10151c;
         color: #e8edf2; font: 16px/1.5 system-ui, sans-serif; }
  figure { position: relative; margin: 1rem; width: min(100vw - 2rem, 46rem); }
  svg { display: block; width: 100%; border-radius: 14px; box-shadow: 0 18px 50px #0009; }
  .overlay { position: absolute; padding: .15rem .6rem; border-radius: 6px; background: #0009;
             font-variant-numeric: tabular-nums; }
  #clock { right: 1rem; top: 1rem; }
  .live { left: 1rem; top: 1rem; }
  .live::before { content: ""; display: inline-block; width: .65em; height: .65em;
                  margin-right: .5em; border-radius: 50%; background: #ff4d4d;
                  animation: pulse 1.6s infinite; }
  .lost .live::before { background: #777; animation: none; }
  .lost svg { filter: grayscale(1) brightness(.45); }
  @keyframes pulse { 50% { opacity: .25; } }
  figcaption { margin-top: .8rem; text-align: center; color: #9fb0c0; }
</style>
</head>
<body>
<figure id="camera">
<svg viewBox="0 0 640 400" role="img" aria-label="A house's front door at dusk">
  <defs>
    <linearGradient id="wall" x2="0" y2="1"><stop stop-color="#51606f"/>
      <stop offset="1" stop-color="#37434f"/></linearGradient>
    <radialGradient id="glow"><stop stop-color="#ffe2a0" stop-opacity=".85"/>
      <stop offset="1" stop-color="#ffe2a0" stop-opacity="0"/></radialGradient>
    <linearGradient id="door" x2="0" y2="1"><stop stop-color="#2f7d6b"/>
      <stop offset="1" stop-color="#1f5a4d"/></linearGradient>
  </defs>
  <rect width="640" height="400" fill="url(#wall)"/>
  <g stroke="#2d3843" stroke-width="2" opacity=".55">
    <path d="M0 40H640M0 80H640M0 120H640M0 160H640M0 200H640M0 240H640M0 280H640M0 320H640"/>
  </g>
  <path d="M0 330H640V400H0Z" fill="#262d35"/>
  <path d="M200 345H440L480 400H160Z" fill="#8a8378"/>
  <path d="M215 330H425L440 345H200Z" fill="#a59d90"/>
  <rect x="236" y="66" width="168" height="266" rx="4" fill="#e9e4da"/>
  <rect x="250" y="80" width="140" height="252" fill="url(#door)"/>
  <g fill="none" stroke="#174a3f" stroke-width="3">
    <rect x="266" y="180" width="46" height="60"/><rect x="328" y="180" width="46" height="60"/>
    <rect x="266" y="254" width="46" height="60"/><rect x="328" y="254" width="46" height="60"/>
  </g>
  <path d="M266 164V124A54 40 0 0 1 374 124V164Z" fill="#ffdf9b"/>
  <path d="M266 164V124A54 40 0 0 1 374 124V164ZM320 84V164M266 130H374" fill="none"
        stroke="#174a3f" stroke-width="3"/>
  <circle cx="378" cy="216" r="6" fill="#e3b95a"/>
  <rect x="300" y="246" width="40" height="5" rx="2" fill="#e3b95a"/>
  <text x="320" y="176" text-anchor="middle" font-family="system-ui" font-size="13"
        fill="#e3b95a">14</text>
  <g id="lamp"><circle cx="456" cy="128" r="78" fill="url(#glow)"/>
    <path d="M446 108H466L470 146H442Z" fill="#ffe9b8" stroke="#23282e" stroke-width="3"/>
    <path d="M440 108H472L456 94Z" fill="#23282e"/></g>
  <g><path d="M120 338H188L180 384H128Z" fill="#9a5b3c"/>
    <g fill="#3f8f4f"><circle cx="154" cy="308" r="30"/><circle cx="132" cy="320" r="20"/>
      <circle cx="177" cy="320" r="20"/><circle cx="154" cy="282" r="18"/></g></g>
  <rect x="206" y="196" width="16" height="30" rx="4" fill="#23282e"/>
  <circle cx="214" cy="206" r="4" fill="#7fd3ff"/><circle cx="214" cy="218" r="3" fill="#e8edf2"/>
</svg>
<span class="overlay live">LIVE</span><span class="overlay" id="clock">%TIME%</span>
<figcaption id="caption">The front door, as the camera inside the home sees it now.</figcaption>
</figure>
<script>
  const camera = document.getElementById("camera");
  const caption = document.getElementById("caption");
  const open = caption.textContent;
  setInterval(async () => {
    try {
      const reply = await fetch("time", { cache: "no-store", signal: AbortSignal.timeout(900) });
      document.getElementById("clock").textContent = await reply.text();
      camera.className = "";
      caption.textContent = open;
    } catch {
      camera.className = "lost";
      caption.textContent = "Connection lost: the way to the camera is closed.";
    }
  }, 1000);
</script>
</body>
</html>
"""


class Camera:
    """The camera as an async context manager; `port` is its TCP and its UDP port."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Make a camera; `port` 0 takes one that is free for both protocols."""
        self.host = host
        self.port = port
        self.requests = 0
        self._runner: web.AppRunner | None = None
        self._echo: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        """Start. Raises OSError when the port cannot be bound."""
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/time", self._time)
        # Away at once: who stops the camera does not wait for its viewers.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        tcp, udp = _bind(self.host, self.port)
        self.port = tcp.getsockname()[1]
        await web.SockSite(self._runner, tcp).start()
        self._echo, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Echo, sock=udp)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        if self._echo is not None:
            self._echo.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, _request: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(text=PAGE.replace("%TIME%", _now()), content_type="text/html")

    async def _time(self, _request: web.Request) -> web.Response:
        self.requests += 1
        return web.Response(text=_now())


class _Echo(asyncio.DatagramProtocol):
    """Sends each packet back to where it came from."""

    _transport: asyncio.DatagramTransport

    @override
    def connection_made(  # type: ignore[override]  # typeshed's DatagramProtocol narrows it too
        self, transport: asyncio.DatagramTransport
    ) -> None:
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


def _now() -> str:
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bind the same port for TCP and UDP. Raises OSError when it cannot be had."""
    for left in reversed(range(1 if port else BIND_TRIES)):
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind((host, port))
            udp.bind((host, tcp.getsockname()[1]))
        except OSError:
            tcp.close()
            udp.close()
            if not left:
                raise
        else:
            return tcp, udp
    raise AssertionError("The last try returns or raises")


async def _run(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Camera(host, port) as camera:
        print(f"http://{camera.host}:{camera.port}/", flush=True)
        await stop.wait()


def main() -> None:
    """Read the command line and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m lab.camera", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to answer on")
    parser.add_argument("--port", type=int, default=0, help="TCP and UDP port; 0: any free")
    options = parser.parse_args()
    asyncio.run(_run(options.host, options.port))


if __name__ == "__main__":
    main()
