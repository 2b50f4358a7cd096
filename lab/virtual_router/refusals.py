"""Why a router refuses to add a mapping: each rule is one line and its quirk."""

from collections.abc import Callable

from .call import WanCall
from .mapping import VirtualMapping
from .quirks import Quirk
from .soap import UpnpError

LONGEST_DESCRIPTION = 256  # characters (Q42)
LOWEST_USER_PORT = 1024

type Rule = Callable[[WanCall, VirtualMapping], bool]


def _always(_: WanCall, __: VirtualMapping) -> bool:
    return True


def _other_host(call: WanCall, asked: VirtualMapping) -> bool:
    return asked.internal_host != call.caller


def _any_lease(_: WanCall, asked: VirtualMapping) -> bool:
    return asked.lease != 0


def _low_port(_: WanCall, asked: VirtualMapping) -> bool:
    return min(asked.external_port, asked.internal_port) < LOWEST_USER_PORT


RULES: tuple[tuple[Quirk, Rule, int], ...] = (
    (Quirk.Q11_CONFLICT, _other_host, 718),
    (Quirk.Q13, _other_host, 606),
    (Quirk.Q13_UNTICKED, _always, 606),
    (Quirk.Q12, _low_port, 606),
    (Quirk.Q01, _any_lease, 725),
    (Quirk.Q02, _any_lease, 402),
    (Quirk.Q03, lambda _, asked: asked.lease == 0, 402),
    (Quirk.Q15, lambda _, asked: asked.external_port != asked.internal_port, 724),
    (Quirk.Q16, lambda _, asked: asked.remote_host != "", 726),
    (Quirk.Q17, lambda _, asked: asked.external_port != 0, 727),
    (Quirk.Q42, lambda _, asked: asked.description == "", 402),
    (Quirk.Q42, lambda _, asked: len(asked.description) > LONGEST_DESCRIPTION, 501),
    (Quirk.Q14, _always, 501),
    (Quirk.Q14_PRIVATE, _always, 501),
    (Quirk.Q14_CGNAT, _always, 501),
)


def refuse(call: WanCall, asked: VirtualMapping) -> None:
    """Raise the UpnpError of the first rule that the mapping breaks."""
    if (call.secure_mode or Quirk.Q11 in call.quirks) and _other_host(call, asked):
        # miniupnpd's choice of code: 606 came with IGD:2.
        raise UpnpError(718 if call.igd == 1 else 606)
    for quirk, rule, code in RULES:
        if quirk in call.quirks and rule(call, asked):
            raise UpnpError(code)
