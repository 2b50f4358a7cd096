"""What the namespace lab needs of the machine."""

import os
import shutil
import sys

# The programs with the Debian packages that have them; `scripts/setup lab` installs those.
_PROGRAMS = {
    "ip": "iproute2",
    "miniupnpd": "miniupnpd-nftables",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "upnpc": "miniupnpc",
}
# Where those for administrators are, which not every root has in its PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class UnavailableError(Exception):
    """The machine cannot run the lab; the text says what is missing."""


def program(name: str) -> str:
    """Return the path of one of the programs. Raises UnavailableError without it."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise UnavailableError(_needs(f"{name} (Debian package {_PROGRAMS[name]})"))
    return path


def check() -> None:
    """Raise UnavailableError with all that is missing."""
    missing = []
    if sys.platform != "linux":
        missing.append("Linux")
    elif os.geteuid() != 0:
        missing.append("root")
    missing += [
        f"{name} (Debian package {package})"
        for name, package in _PROGRAMS.items()
        if shutil.which(name, path=_PATH) is None
    ]
    if missing:
        raise UnavailableError(_needs(*missing))


def _needs(*missing: str) -> str:
    return (
        f"the lab with the real router needs {', '.join(missing)}; "
        "run scripts/setup lab as root on Debian or Ubuntu"
    )
