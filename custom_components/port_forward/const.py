"""Constants of the Port Forward integration."""

import logging
from datetime import timedelta
from typing import Final

DOMAIN: Final = "port_forward"
LOGGER: Final = logging.getLogger(__package__)

SUBENTRY_TYPE_FORWARD: Final = "forward"

# Entry data: which driver speaks to the router, where, and to which of its WANs.
CONF_DRIVER: Final = "driver"
CONF_WAN: Final = "wan"

# Entry data of some routers with a login, besides those of Home Assistant.
CONF_API_SECRET: Final = "api_secret"  # noqa: S105  its name
CONF_INTERFACE: Final = "interface"
CONF_SITE: Final = "site"

# Entry options; times are in seconds.
CONF_REFRESH_INTERVAL: Final = "refresh_interval"
CONF_LEASE: Final = "lease"
CONF_CLOSE_ON_STOP: Final = "close_on_stop"
CONF_ADMINS_ONLY: Final = "admins_only"  # of a forward, too
CONF_CHECK_URL: Final = "check_url"
DEFAULT_REFRESH_INTERVAL: Final = timedelta(seconds=60)
DEFAULT_LEASE: Final = timedelta(hours=1)

# Subentry data: a forward as the user typed it. Ports stay text, because
# "8000-8010" is what the user gave and wants to see again.
CONF_INTERNAL_HOST: Final = "internal_host"
CONF_INTERNAL_PORTS: Final = "internal_ports"
CONF_EXTERNAL_PORTS: Final = "external_ports"
CONF_ALLOWED_SOURCE: Final = "allowed_source"
CONF_IP_VERSION: Final = "ip_version"
CONF_CLOSE_AFTER: Final = "close_after"
CONF_UNTIL_CLOSED: Final = "until_closed"
CONF_CLOSE_WHEN_IDLE: Final = "close_when_idle"
CONF_ONLY_WHILE_REACHABLE: Final = "only_while_reachable"
CONF_TRIGGER_PROTOCOL: Final = "trigger_protocol"
CONF_TRIGGER_PORTS: Final = "trigger_ports"
CONF_OPENED_BY: Final = "opened_by"
CONF_LINGER: Final = "linger"
# Asked of a risky forward, and not kept.
CONF_CONFIRMED: Final = "confirmed"
# Kept of a forward that leads to a name or a device: whether that may be the router
# itself, or Home Assistant.
CONF_ACCEPTED_TARGETS: Final = "accepted_targets"
# In place of where it leads and for what: the rule that it switches.
CONF_ADOPTED: Final = "adopted"

# In place of an address: whatever machine Home Assistant runs on. The frontend
# shows the value itself in a list that also takes others, hence these words.
THIS_HOME_ASSISTANT: Final = "This Home Assistant"
# Or whichever device in the home makes the traffic by which the forward opens.
CAUSING_DEVICE: Final = "The device that causes it"

PROTOCOL_BOTH: Final = "both"

# How long an opening lasts when nothing else is said, and at the most.
DEFAULT_CLOSE_AFTER: Final = timedelta(hours=1)
RISKY_CLOSE_AFTER: Final = timedelta(minutes=15)  # what is proposed of a risky forward
LONGEST_OPENING: Final = timedelta(days=30)

# What one forward may make of the router's table. Most hold 32 to 128 rows.
MAX_MAPPINGS_PER_FORWARD: Final = 100
