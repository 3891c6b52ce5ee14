"""The user's own devices: one YAML file each, under the folder of the user's tables."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import ValidationError

from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.files import read_text, write_text
from hwtickets.resources import user_dir

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WHAT = "device profile"


def checked_name(name: str) -> str:
    """The name, if it can name a device and its file.

    Raises:
        UsageError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot name a device; use letters, digits, '.', '_' and '-' (not at the beginning)"
        )
    return name


def profile_path(name: str) -> Path:
    """The file of a user's device, whether it is there or not: $HWTICKETS_HOME/devices/NAME.yaml."""
    return user_dir("devices") / f"{checked_name(name)}.yaml"


def user_device_names() -> list[str]:
    """Names of the user's devices, sorted; their files are not read."""
    return sorted(path.stem for path in user_dir("devices").glob("*.yaml") if _NAME.fullmatch(path.stem))


def save_profile(profile: DeviceProfile) -> Path:
    """Writes a device; one of the same name is replaced.

    Returns:
        The file.
    """
    path = profile_path(profile.name)
    values = profile.model_dump(mode="json", exclude={"name"})
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return path


def load_profile(name: str) -> DeviceProfile:
    """Reads one of the user's devices.

    Raises:
        HwticketsError: The file is missing or damaged; it and the entry are named.
    """
    path = profile_path(name)
    advice = f"correct it or add the device again: hwtickets devices add {name} --ssh user@host"
    try:
        values = yaml.safe_load(read_text(path, _WHAT))
        if not isinstance(values, dict):
            raise ValueError("it holds no keys")
        return DeviceProfile(**{**values, "name": name})
    except ValidationError as error:
        entry = error.errors()[0]
        key = ".".join(str(part) for part in entry["loc"])
        raise HwticketsError(f"the {_WHAT} {path} is damaged: {key}: {entry['msg']}; {advice}") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise HwticketsError(f"the {_WHAT} {path} is damaged: {reason}; {advice}") from error
