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
#: They grow when heat slowed the processor down, and on a Jetson Orin or Thor when its supply did: low
#: voltage or too much current ("System throttled due to over-current").
COUNTERS = (
    "/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count",
    "/sys/class/hwmon/hwmon*/oc[0-9]_event_cnt",
)
#: Where a Raspberry Pi's firmware tells; from the 5 on, "soc" carries its address.
FIRMWARE = "/sys/devices/platform/soc*/soc*:firmware/get_throttled"


def throttling():
    """What slows the board down now, and counters that grow when something did."""
    active = []
    for path in found_in("/sys/class/thermal/cooling_device*/type"):
        name = read_text(path)
        if re.search(r"throttle|alert", name or "") and read_number(path[: -len("type")] + "cur_state"):
            active.append(name)
    # Bits of now: under-voltage, capped, throttled, too warm. The higher ones are of the past.
    active += ["firmware " + flags for flags in texts([FIRMWARE]).values() if int(flags or "0", 16) & 0xF]
    return active, texts(COUNTERS)
