"""What a demo takes place in: a router and a camera behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ..camera import Camera
from ..netns import HomeNetwork, Namespace, RealRouter
from ..netns.network import CAMERA
from ..netns.relay import relay
from ..virtual_router import VirtualMapping, VirtualRouter
from .state import LOOPBACK, Memory, Ports

ROUTER_NAME = "Demo router"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A router and a camera that are running, and how to tell of them."""

    ports: Ports
    description_url: str
    camera_host: str
    """Its address in the home."""
    namespace: Namespace | None
    """Where Home Assistant has to be, None for here."""
    look: str
    """What to look at to see what the router holds."""
    about: str
    """Where all of this is, in Markdown."""

    @property
    def camera_url(self) -> str:
        """Where the camera answers while its switch is on."""
        return f"http://{LOOPBACK}:{self.ports.external}/"


@asynccontextmanager
async def virtual_scene(memory: Memory) -> AsyncIterator[Scene]:
    """Run the virtual router: home and internet are both 127.0.0.1."""
    ports = memory.ports
    async with (
        Camera(LOOPBACK, ports.camera),
        # No SSDP: Home Assistant does not listen for it on loopback.
        VirtualRouter(
            port=ports.router, udn=memory.udn, friendly_name=ROUTER_NAME, on_change=_tell
        ) as router,
    ):
        yield Scene(
            ports=ports,
            description_url=router.description_url,
            camera_host=LOOPBACK,
            namespace=None,
            look=f"the router's own page, http://{LOOPBACK}:{ports.router}/",
            about=(
                f"In this demo `{LOOPBACK}` is your home and the internet at once: where the "
                "router of a real home would open a port of its external address, this one opens "
                "it here. Nothing leaves this computer."
            ),
        )


@asynccontextmanager
async def real_scene(memory: Memory) -> AsyncIterator[Scene]:
    """Run miniupnpd in the namespace lab, with ways for the browser into its two ends.

    Raises UnavailableError where there can be none.
    """
    ports = memory.ports
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(HomeNetwork("demo"))
        router = RealRouter(network, uuid=UUID(memory.udn), name=ROUTER_NAME)
        await stack.enter_async_context(router)
        with network.camera.entered():
            await stack.enter_async_context(Camera(CAMERA, ports.camera))
        # Home Assistant listens where it is, on 127.0.0.1 of its own.
        at_home = (network.home_assistant, LOOPBACK, ports.home_assistant)
        await stack.enter_async_context(relay(ports.home_assistant, *at_home))
        outside = (network.internet, network.wan_address, ports.external)
        await stack.enter_async_context(relay(ports.external, *outside))
        yield Scene(
            ports=ports,
            description_url=router.description_url,
            camera_host=CAMERA,
            namespace=network.home_assistant,
            look="the rules of the router's kernel: run scripts/lab rules",
            about=(
                "In this demo the router is miniupnpd, as many homes have it, and home and "
                "internet are network namespaces of this computer. The address of the camera "
                f"leads your browser to the internet there, and on to the router's "
                f"{network.wan_address}:{ports.external}. Nothing leaves this computer."
            ),
        )


def _tell(what: Literal["opened", "closed"], mapping: VirtualMapping) -> None:
    print(f"demo: the router has {what} {mapping}", flush=True)
