"""A MikroTik router with RouterOS 7 in one Python process: its REST API, with a NAT that is real.

    async with MikrotikRouter() as router:
        ... router.url, router.items(), router.requests ...

No RouterOS can be had for tests. This one answers as measurements of 7.23.7
by others and the vendor's pages have it; `Habit` holds what nobody has seen.
"""

from lab.http_faults import Fault

from .habits import Habit
from .rest import ALL, User
from .router import MikrotikRouter

__all__ = ["ALL", "Fault", "Habit", "MikrotikRouter", "User"]
