"""A Home Assistant configuration that is ready for use, for the demo and the end-to-end tests.

Run it with the Python of the environment whose `hass` shall use the configuration:
`python -m lab.seed CONFIG_DIR PORT`. What it writes goes through Home Assistant's own stores, so
each version gets the format it expects:

- onboarding done, analytics off, an administrator, and a long-lived token in `CONFIG_DIR/token`
- the web server on 127.0.0.1:PORT and nowhere else
- the loopback adapter as the only one for discovery, unless another is named: nothing here looks
  at the network that the machine is in, or is seen by it
- the marketplace of 2026.11 disabled, which would ask the internet for its catalogue at each start

On a configuration that it made before, it only moves the web server to PORT.
"""

import argparse
import asyncio
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ifaddr
from homeassistant import runner
from homeassistant.auth import auth_manager_from_config
from homeassistant.auth.const import GROUP_ID_ADMIN
from homeassistant.auth.models import TOKEN_TYPE_LONG_LIVED_ACCESS_TOKEN
from homeassistant.auth.providers.homeassistant import HassAuthProvider
from homeassistant.components.analytics.const import STORAGE_KEY as ANALYTICS_KEY
from homeassistant.components.analytics.const import STORAGE_VERSION as ANALYTICS_VERSION
from homeassistant.components.http.config import HTTPConfigStore
from homeassistant.components.network.const import ATTR_CONFIGURED_ADAPTERS
from homeassistant.components.network.const import STORAGE_KEY as NETWORK_KEY
from homeassistant.components.network.const import STORAGE_VERSION as NETWORK_VERSION
from homeassistant.components.onboarding import STORAGE_KEY as ONBOARDING_KEY
from homeassistant.components.onboarding import STORAGE_VERSION as ONBOARDING_VERSION
from homeassistant.components.onboarding.const import STEPS as ONBOARDING_STEPS
from homeassistant.config_entries import (
    SOURCE_SYSTEM,
    ConfigEntries,
    ConfigEntry,
    ConfigEntryDisabler,
    ConfigEntryStore,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.storage import Store

LOOPBACK = "127.0.0.1"

TOKEN_LIFETIME = timedelta(days=3650)

# Not default_config: it looks for devices by Bluetooth, DHCP, mDNS and USB, and talks to the cloud.
# Cameras and speech load whatever the configuration says; they miss programs nothing here needs.
CONFIGURATION = """\
automation: !include automations.yaml
config:
diagnostics:
frontend:
ssdp:
system_health:
logger:
  default: warning
  logs:
    custom_components.port_forward: debug
    haffmpeg: critical
    homeassistant.components.camera.img_util: critical
"""


NAME = "admin"
PASSWORD = "admin"  # noqa: S105 -- of a server that only this machine can reach


def seed(
    config_dir: Path,
    port: int,
    *,
    name: str = NAME,
    password: str = PASSWORD,
    adapter: str | None = None,
) -> None:
    """Make the configuration, or move it to another port; no `hass` may be running on it.

    `adapter` is the network adapter for discovery, None for loopback.
    """
    config_dir.mkdir(parents=True, exist_ok=True)
    asyncio.run(
        _seed(config_dir.resolve(), port, name, password, adapter),
        loop_factory=runner.create_event_loop,
    )


async def _seed(config_dir: Path, port: int, name: str, password: str, adapter: str | None) -> None:
    token = config_dir / "token"
    hass = HomeAssistant(str(config_dir))
    await _listen_on(hass, port)
    if not token.is_file():
        (config_dir / "configuration.yaml").write_text(CONFIGURATION)
        (config_dir / "automations.yaml").write_text("[]\n")
        await _finish_onboarding(hass)
        await _discover_only_on(hass, [adapter] if adapter else _loopback())
        await _disable_the_marketplace(hass)
        access_token = await _create_administrator(hass, name, password)
        # Last, because it tells the next run that all of this is done.
        token.touch(mode=0o600)
        token.write_text(access_token)
    # Stores put their writing off; only a forced stop makes those of a core that never ran write.
    await hass.async_stop(force=True)


async def _listen_on(hass: HomeAssistant, port: int) -> None:
    store = HTTPConfigStore(hass)
    await store.async_load()
    await store.async_set_pending(
        {**store.stable, "server_host": [LOOPBACK], "server_port": port},
    )
    # A pending configuration is on trial for five minutes, then Home Assistant goes back to :8123.
    if store.pending is not None:
        await store.async_promote_pending()
    await store.async_mark_yaml_migration_done()
    await hass.config.async_load()
    # Left to itself, Home Assistant looks for an address in the network that it is reached at.
    await hass.config.async_update(internal_url=f"http://{LOOPBACK}:{port}")


async def _finish_onboarding(hass: HomeAssistant) -> None:
    await hass.config.async_update(
        location_name="Home",
        country="NL",
        currency="EUR",
        language="en",
        time_zone="Europe/Amsterdam",
    )
    await _store(hass, ONBOARDING_VERSION, ONBOARDING_KEY, {"done": ONBOARDING_STEPS})
    no_analytics = {"onboarded": True, "preferences": {}, "uuid": None}
    await _store(hass, ANALYTICS_VERSION, ANALYTICS_KEY, no_analytics)


async def _discover_only_on(hass: HomeAssistant, adapters: list[str]) -> None:
    await _store(hass, NETWORK_VERSION, NETWORK_KEY, {ATTR_CONFIGURED_ADAPTERS: adapters})


def _loopback() -> list[str]:
    adapters = [
        adapter.nice_name  # Linux: lo, macOS: lo0
        for adapter in ifaddr.get_adapters()
        if any(ip.ip == LOOPBACK for ip in adapter.ips)
    ]
    # With none that exists, Home Assistant would fall back to the adapter of the default route.
    if not adapters:
        message = f"no network adapter of this machine has the address {LOOPBACK}"
        raise SystemExit(message)
    return adapters


async def _disable_the_marketplace(hass: HomeAssistant) -> None:
    # An entry that the user has disabled keeps it from making one of its own.
    if find_spec("homeassistant.components.marketplace") is None:
        return
    entry = ConfigEntry[None](
        data={},
        disabled_by=ConfigEntryDisabler.USER,
        discovery_keys=MappingProxyType({}),
        domain="marketplace",
        minor_version=1,
        options={},
        source=SOURCE_SYSTEM,
        subentries_data=None,
        title="Marketplace",
        unique_id=None,
        version=1,
    )
    await ConfigEntryStore(hass).async_save({"entries": [entry.as_dict()]})


async def _store(hass: HomeAssistant, version: int, key: str, data: dict[str, Any]) -> None:
    await Store[dict[str, Any]](hass, version, key).async_save(data)


async def _create_administrator(hass: HomeAssistant, name: str, password: str) -> str:
    """Return a long-lived access token of the new user."""
    hass.config_entries = ConfigEntries(hass, {})
    await hass.config_entries.async_initialize()
    dr.async_setup(hass)
    await asyncio.gather(dr.async_load(hass), er.async_load(hass))

    hass.auth = await auth_manager_from_config(hass, [{"type": "homeassistant"}], [])
    provider = hass.auth.get_auth_provider("homeassistant", None)
    if not isinstance(provider, HassAuthProvider):
        raise TypeError(provider)
    await provider.async_add_auth(name, password)
    credentials = await provider.async_get_or_create_credentials({"username": name})
    user = await hass.auth.async_create_user(name, group_ids=[GROUP_ID_ADMIN])
    await hass.auth.async_link_user(user, credentials)
    refresh_token = await hass.auth.async_create_refresh_token(
        user,
        client_name="port-forward",
        token_type=TOKEN_TYPE_LONG_LIVED_ACCESS_TOKEN,
        access_token_expiration=TOKEN_LIFETIME,
    )
    return hass.auth.async_create_access_token(refresh_token)


def main() -> None:
    """Seed from the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.seed", description=__doc__)
    parser.add_argument("config_dir", type=Path, metavar="CONFIG_DIR")
    parser.add_argument("port", type=int, metavar="PORT")
    parser.add_argument("--name", default=NAME)
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--adapter", help="network adapter to discover on (default: loopback)")
    arguments = parser.parse_args()
    seed(
        arguments.config_dir,
        arguments.port,
        name=arguments.name,
        password=arguments.password,
        adapter=arguments.adapter,
    )


if __name__ == "__main__":
    main()
