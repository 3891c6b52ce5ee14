"""Clocks of the board, and what slows it down."""

import re

from hwt_files import found_in, read_number, read_text, texts

CLOCK_FILES = (
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_min_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq",
    "/sys/class/devfreq/*/cur_freq",
    "/sys/class/devfreq/*/min_freq",
    "/sys/class/devfreq/*/max_freq",
)


def throttling():
    """What slows the board down now, and counters that grow when something did."""
    active = []
    for path in found_in("/sys/class/thermal/cooling_device*/type"):
        name = read_text(path)
        if re.search(r"throttle|alert", name or "") and read_number(path[: -len("type")] + "cur_state"):
            active.append(name)
    # A Raspberry Pi's firmware: under-voltage, capped, throttled, too warm.
    flags = read_text("/sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags and int(flags, 16) & 0xF:
        active.append("firmware " + flags)
    return active, texts(["/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"])
