"""Which power rails of a Jetson add up to the whole module. Standard library only: a board may run it."""

from __future__ import annotations

from collections.abc import Iterable

#: Rails at the module's input: each is the whole module. Jetson Nano calls it POM_5V_IN; TX2, Xavier NX, Orin
#: NX and Orin Nano VDD_IN; AGX Thor VIN. Source: NVIDIA's Jetson Linux developer guide, power chapters.
_WHOLE = ("VDD_IN", "POM_5V_IN", "VIN")
#: Boards that do not measure their input; these rails together are it. On AGX Orin VIN_SYS_5V0 is only the
#: 5 V side (I/O and memory), and VDDQ_VDD2_1V8AO is fed from it: adding that too would count it twice.
_SUMS = (
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)


def whole_module(names: Iterable[str]) -> tuple[str, ...]:
    """The rails among `names` whose powers add up to that of the module; empty where that is not known."""
    known = set(names)
    for rail in _WHOLE:
        if rail in known:
            return (rail,)
    for rails in _SUMS:
        if known.issuperset(rails):
            return rails
    return ()
