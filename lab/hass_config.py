"""The configuration directory of a real Home Assistant: seeded, with this integration in it."""

import asyncio
import json
import os
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
INTEGRATION = Path("custom_components", "port_forward")


async def prepare(environment: Path, config: Path, port: int, adapter: str | None = None) -> None:
    """Seed the configuration, or move it to `port`, and put the integration in.

    `environment` holds the homeassistant that will use it, `adapter` is the
    network adapter that it discovers on, None for loopback. Raises RuntimeError
    with the output of the seeding when that failed.
    """
    config.mkdir(parents=True, exist_ok=True)
    link = config / INTEGRATION
    link.parent.mkdir(exist_ok=True)
    # The link of an earlier run may lead to where the repository once was.
    if link.is_symlink() or not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(REPOSITORY / INTEGRATION, target_is_directory=True)
    if not _is_seeded(config, port):
        await _seed(environment, config, port, adapter)


def variables() -> dict[str, str]:
    """Return the environment variables without those of the Python that we run in."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in ours}


def _is_seeded(config: Path, port: int) -> bool:
    """Tell whether there is nothing to seed: to find that out takes `lab.seed` seconds."""
    try:
        http = json.loads((config / ".storage" / "http").read_text())
    except FileNotFoundError:
        return False
    # The token is the last that a seeding writes.
    return http["data"]["stable"]["server_port"] == port and (config / "token").is_file()


async def _seed(environment: Path, config: Path, port: int, adapter: str | None) -> None:
    seeding = await asyncio.create_subprocess_exec(
        environment / "bin" / "python",
        *("-m", "lab.seed", config, str(port)),
        *(("--adapter", adapter) if adapter else ()),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=variables(),
        # A Ctrl-C in the terminal is for us, and we end it.
        start_new_session=True,
    )
    try:
        output, _ = await seeding.communicate()
    except BaseException:
        seeding.kill()
        await seeding.wait()
        raise
    if seeding.returncode:
        raise RuntimeError(f"Could not seed {config}:\n{output.decode()}")
