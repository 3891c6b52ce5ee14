"""Devices: what they are called, what they run, and how to tell two of them apart."""

from __future__ import annotations

from hwtickets.devices.check import Check, check_device
from hwtickets.devices.connect import device_fingerprint, open_bench
from hwtickets.devices.fingerprint import differences, fingerprint, fingerprint_id
from hwtickets.devices.profile import DeviceProfile, get_device, list_devices

__all__ = [
    "Check",
    "DeviceProfile",
    "check_device",
    "device_fingerprint",
    "differences",
    "fingerprint",
    "fingerprint_id",
    "get_device",
    "list_devices",
    "open_bench",
]
