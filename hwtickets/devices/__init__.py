"""Devices: what they are called, what they run, and how to tell two of them apart."""

from __future__ import annotations

from hwtickets.devices.check import check_device
from hwtickets.devices.connect import device_fingerprint, open_bench
from hwtickets.devices.finding import Check
from hwtickets.devices.fingerprint import decisive, differences, fingerprint, fingerprint_id
from hwtickets.devices.names import get_device, list_devices, name_note
from hwtickets.devices.profile import DeviceProfile

__all__ = [
    "Check",
    "DeviceProfile",
    "check_device",
    "decisive",
    "device_fingerprint",
    "differences",
    "fingerprint",
    "fingerprint_id",
    "get_device",
    "list_devices",
    "name_note",
    "open_bench",
]
