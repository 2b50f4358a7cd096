"""The router's daemon: Debian's miniupnpd.

What its version 2.3.1 with nftables does otherwise than the documents say, found
by running it here. By UPnP, with IPv6 pinholes:

- Add, update and delete work, from the target's own address and from port 1024
  up, else 606. An id that is gone answers 402, and a lease of 0 or over 86400 s.
- GetPinholePackets is always 0, CheckPinholeWorking always 709.
- A pinhole that is added again keeps its id and **outlives its lease**; one that
  is renewed with UpdatePinhole does not.

By PCP:

- FILTER is accepted and sent back, and **every source is let in**.
- Another nonce takes a mapping over. Another external port makes a second
  mapping of the same internal one, also with the same nonce.
- PREFER_FAILURE gives the next port when the one asked for is taken.
- Deleting what is not there answers NO_RESOURCES, another nonce's NOT_AUTHORIZED.
- An IPv6 pinhole that was renewed **cannot be deleted**, only expires. The reply
  shows the external port that was suggested, which no pinhole has.
- With a private WAN address it answers NO_RESOURCES, but makes IPv6 pinholes.
- A new WAN address is announced and resets the epoch, but the mappings stay. A
  start is announced by PCP alone, once.
"""

import asyncio
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from .names import FILES
from .network import (
    FORWARD_CHAIN,
    LAN,
    NAT_CHAIN,
    POSTROUTING_CHAIN,
    ROUTER,
    ROUTER6,
    TABLE,
    WAN,
    HomeNetwork,
)
from .requirements import program

PORT = 5000
NAME = "Real Router"

STARTS_WITHIN = 30
STOPS_WITHIN = 10

# Between two looks whether it listens yet: there is nothing to wait on.
LOOK_EVERY = 0.02

# 2.3.1 refuses a file with keys that it does not know.
_CONFIGURATION = """\
ext_ifname={wan}
listening_ip={lan}
http_port={port}
enable_natpmp={pcp}
enable_upnp=yes
ipv6_disable={no_ipv6}
secure_mode={secure_mode}
system_uptime=no
notify_interval=900
uuid={uuid}
friendly_name={name}
pcp_allow_thirdparty={third_party}
upnp_table_name={table}
upnp_nat_table_name={table}
upnp_forward_chain={forward_chain}
upnp_nat_chain={nat_chain}
upnp_nat_postrouting_chain={postrouting_chain}
allow 1-65535 0.0.0.0/0 1-65535
"""

# Without /dev/log it prints each line on the console of the machine as well,
# which is none of its business, and so slow on a serial one that a request
# takes a hundred times as long.
_QUIET = """\
for device in /dev/console /dev/log; do
  if [ -e "$device" ]; then mount --bind /dev/null "$device"; fi
done
exec "$@"
"""


def lease_row(port: int, internal_host: str, until: float, description: str = "") -> str:
    """Return a row of the lease file: a TCP port to the same one inside, until a UNIX time."""
    return f"TCP:{port}:{internal_host}:{port}:{int(until)}:{description}"


class RealRouter:
    """miniupnpd on the router of a network, as an async context manager."""

    def __init__(  # noqa: PLR0913  each is a setting of the router
        self,
        network: HomeNetwork,
        *,
        secure_mode: bool = False,
        pcp: bool = True,
        third_party: bool = True,
        ipv6: bool = True,
        lease_file: Iterable[str] | None = None,
        uuid: UUID | None = None,
        name: str = NAME,
    ) -> None:
        """Take what it serves.

        `pcp` is NAT-PMP as well, `third_party` is what PCP clients may map for, and
        `ipv6` is all of its IPv6: HTTP, SSDP, PCP and pinholes.
        With a `lease_file` of these rows, or of none, it knows its mappings
        again after a restart; None is without one, as it is on Debian.
        """
        self.network = network
        self.secure_mode = secure_mode
        self.pcp = pcp
        self.third_party = third_party
        self.ipv6 = ipv6
        self.description_url = f"http://{ROUTER}:{PORT}/rootDesc.xml"
        self.description_url6 = f"http://[{ROUTER6}]:{PORT}/rootDesc.xml"
        self.udn = f"uuid:{uuid or uuid4()}"
        self._name = name
        files = FILES / network.router.name
        files.mkdir(parents=True, exist_ok=True)
        self._directory = Path(tempfile.mkdtemp(dir=files))
        self._lease_file: Path | None = None
        if lease_file is not None:
            self._lease_file = self._directory / "leases"
            self._lease_file.write_text("".join(f"{row}\n" for row in lease_file))
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0

    @property
    def running(self) -> bool:
        """Whether it was started, and has neither been stopped nor died."""
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> str:
        """What it has printed."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and remove its files."""
        await self.stop()
        shutil.rmtree(self._directory)

    async def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with its log when it does not."""
        configuration = self._directory / "miniupnpd.conf"
        configuration.write_text(self._configuration())
        with (self._directory / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.network.router.command(program("unshare"), "--mount"),
                *("sh", "-ec", _QUIET, "sh"),
                *(program("miniupnpd"), "-d", "-f", configuration),
                *("-P", self._directory / "pid"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for us, and we stop it in good order.
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                await self._until_listening(self._process)
            self._started = asyncio.get_running_loop().time()
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """Stop it, with its mappings, as Debian's service does.

        By itself it leaves them in the kernel.
        """
        if (process := self._process) is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._process = None
        for chain in (FORWARD_CHAIN, NAT_CHAIN, POSTROUTING_CHAIN):
            await self.network.nft("flush", "chain", "inet", TABLE, chain)

    async def kill(self) -> None:
        """Let it crash: what is mapped stays mapped."""
        if (process := self._process) is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
        self._process = None

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def until_up_for(self, seconds: float) -> None:
        """Wait until it is up for so long, such as for its uptime, in whole seconds, to count."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._started + seconds - loop.time())

    def _configuration(self) -> str:
        written = _CONFIGURATION.format(
            wan=WAN,
            lan=LAN,
            port=PORT,
            secure_mode=_yes(self.secure_mode),
            pcp=_yes(self.pcp),
            third_party=_yes(self.third_party),
            no_ipv6=_yes(not self.ipv6),
            uuid=self.udn.removeprefix("uuid:"),
            name=self._name,
            table=TABLE,
            forward_chain=FORWARD_CHAIN,
            nat_chain=NAT_CHAIN,
            postrouting_chain=POSTROUTING_CHAIN,
        )
        return written + (f"lease_file={self._lease_file}\n" if self._lease_file else "")

    async def _until_listening(self, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"miniupnpd ended by itself:\n{self.log}")
            with self.network.home_assistant.socket(socket.SOCK_STREAM) as probe:
                try:
                    await loop.sock_connect(probe, (ROUTER, PORT))
                except ConnectionRefusedError:
                    await asyncio.sleep(LOOK_EVERY)
                else:
                    return


def _yes(value: bool) -> str:  # noqa: FBT001  that is all there is to say
    return "yes" if value else "no"
