"""Power of the board's rails."""

import os
import re
import shutil
import subprocess
import threading
import time

from hwt_files import found_in, read_number, read_text
from hwt_refused import Refused

INTERVAL_MS = 100
PATIENCE_S = 5
#: "VDD_IN 4600mW/4500mW", on JetPack 4 "POM_5V_IN 1600/1550": now and on average.
RAIL = re.compile(r"(?<!\S)([A-Z]\w*) (\d+)(?:mW)?/\d+(?:mW)?(?!\S)", re.ASCII)

#: Labels of channels, and how the files of voltage and current begin: JetPack 5 and later, JetPack 4.
CHANNELS = (
    ("hwmon/hwmon*/in[1-3]_label", ("in", "curr")),
    ("iio:device*/rail_name_[0-2]", ("in_voltage", "in_current")),
)


def power_rails():
    """[(label, (path of mV, path of mA))] of every INA3221 channel that has a name."""
    rails = []
    for pattern, kinds in CHANNELS:
        for path in found_in("/sys/bus/i2c/drivers/ina3221*/*/" + pattern):
            label, channel = read_text(path), re.search(r"\d", os.path.basename(path))[0]
            paths = tuple(os.path.join(os.path.dirname(path), kind + channel + "_input") for kind in kinds)
            # Channels that lead nowhere are called NC (not connected).
            if label not in (None, "", "NC") and None not in map(read_number, paths):
                rails.append((label, paths))
    return rails


class Ina3221:
    """The power monitors in sysfs."""

    def __init__(self):
        rails = power_rails()
        if not rails:
            raise Refused("unavailable", "no power sensor was found (looked for INA3221 in sysfs)")
        self.labels = tuple(label for label, _ in rails)
        self._paths = tuple(paths for _, paths in rails)

    def milliwatts(self):
        """Power of every rail now; None where the sensor does not answer this time."""
        values = [tuple(map(read_number, paths)) for paths in self._paths]
        return [None if None in pair else pair[0] * pair[1] / 1000 for pair in values]

    def close(self):
        """Nothing is held."""


class Tegrastats:
    """NVIDIA's program, which prints the power of rails that sysfs does not show."""

    def __init__(self):
        program = shutil.which("tegrastats")
        if program is None:
            raise Refused("unavailable", "there is no program tegrastats")
        command = [program, "--interval", str(INTERVAL_MS)]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)
        self._latest = {}
        threading.Thread(target=self._read, daemon=True).start()
        end_s = time.monotonic() + PATIENCE_S
        while not self._latest and time.monotonic() < end_s and self._process.poll() is None:
            time.sleep(0.01)
        if not self._latest:
            self.close()
            raise Refused("unavailable", "tegrastats prints no power")
        self.labels = tuple(self._latest)

    def milliwatts(self):
        """Power of every rail as it was printed last."""
        return [self._latest.get(label) for label in self.labels]

    def close(self):
        """Ends the program."""
        self._process.kill()
        self._process.wait()

    def _read(self):
        for line in self._process.stdout:
            found = {name: int(now) for name, now in RAIL.findall(line.decode("utf-8", "replace"))}
            self._latest = found or self._latest


METERS = {"INA3221": Ina3221, "tegrastats": Tegrastats}


def sampled(meter, seconds, interval_s, work):
    """[[seconds, milliwatts of every rail], ...] while `work` is repeated, and how often it was."""
    samples, done, begin_s = [], threading.Event(), time.monotonic()

    def sample():
        while not done.wait(interval_s):
            samples.append([round(time.monotonic() - begin_s, 4), *meter.milliwatts()])

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
