"""Power of the board's rails."""

import os
import threading
import time

from hwt_files import found_in, read_number, read_text


def power_rails():
    """[(label, (path of mV, path of mA))] of every INA3221 channel that has a name."""
    rails = []
    for path in found_in("/sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*/in[1-3]_label"):
        label, channel = read_text(path), os.path.basename(path)[2]
        paths = tuple(
            os.path.join(os.path.dirname(path), kind + channel + "_input") for kind in ("in", "curr")
        )
        if label and None not in map(read_number, paths):
            rails.append((label, paths))
    return rails


def milliwatts(paths):
    """Power of a rail now, or None where the sensor does not answer this time."""
    values = [read_number(path) for path in paths]
    return None if None in values else values[0] * values[1] / 1000


def sampled(rails, seconds, interval_s, work):
    """[[seconds, milliwatts of every rail], ...] while `work` is repeated, and how often it was."""
    samples, done, begin_s = [], threading.Event(), time.monotonic()

    def sample():
        while not done.wait(interval_s):
            samples.append([round(time.monotonic() - begin_s, 4), *(milliwatts(paths) for _, paths in rails)])

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    runs = 0
    try:
        while time.monotonic() - begin_s < seconds:
            work()
            runs += 1
    finally:
        done.set()
        thread.join()
    return samples, runs
