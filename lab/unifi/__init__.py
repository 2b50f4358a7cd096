"""A UniFi controller with its gateway in one Python process, and a NAT that is real.

    async with UnifiController() as controller:
        ... controller.url, controller.forwards, controller.requests ...

No UniFi OS can be had for tests. This one answers as the clients of others and
the controller's own regular expressions have it; `Habit` holds what nobody has
seen for sure.
"""

from lab.http_faults import Fault

from .accounts import Account, ApiKey
from .controller import UnifiController
from .habits import Habit

__all__ = ["Account", "ApiKey", "Fault", "Habit", "UnifiController"]
