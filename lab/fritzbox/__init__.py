"""A simulated FRITZ!Box: `async with FritzBox() as box`.

No FRITZ!OS could be run: it is made after AVM's documents, the descriptions of
real boxes and what users report. What nobody has seen is a choice, see `Lease`.
"""

from .box import PASSWORD, USER, FritzBox
from .faults import Fault
from .sharing import Lease, Sharing

__all__ = ["PASSWORD", "USER", "Fault", "FritzBox", "Lease", "Sharing"]
