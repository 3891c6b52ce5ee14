"""`hwtickets profile`: what a search space costs on a device, and whether a budget can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwtickets.budgets import format_amount
from hwtickets.cli import options
from hwtickets.cli.missed import not_measured
from hwtickets.cli.printing import fields, print_json
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import BudgetError

NAME = "profile"
EXAMPLE = "hwtickets profile --device cpu --latency 40% --data fashion-mnist-small"


def run(
    config: options.SearchFile = None,
    device: options.OptionalDevice = None,
    latency: options.Latency = None,
    macs: options.Macs = None,
    size: options.Size = None,
    params: options.Params = None,
    energy: options.Energy = None,
    task: options.Task = None,
    data: options.Data = None,
    resolution: options.Resolution = None,
    supernet: options.Supernet = None,
    module: options.Module = None,
    keep: options.Keep = None,
    sizes: options.Sizes = None,
    precision: options.Precision = None,
    table: options.Table = None,
    allow_other_fingerprint: options.OtherFingerprint = False,
    seed: options.Seed = None,
    as_json: options.Json = False,
) -> None:
    """Say what the search space costs on the device and whether the budgets can be kept; train nothing."""
    from hwtickets.progress import Progress

    resolved = options.search_config(
        config,
        {"latency": latency, "macs": macs, "size": size, "params": params, "energy": energy},
        supernet,
        sizes,
        module,
        keep,
        device=device,
        task=task,
        data=data,
        resolution=resolution,
        precision=precision,
        table=None if table is None else str(table),
        allow_other_fingerprint=allow_other_fingerprint or None,
        seed=seed,
    )
    with interruptible():
        from hwtickets import api

        result = api.profile(resolved, Progress())
    if as_json:
        print_json(result)
    else:
        show(result)
    check(result["budgets"])
    if not result["measured"]:
        raise not_measured(result["table"], "hwtickets profile", resolved.budgets)


def show(result: Mapping[str, Any]) -> None:
    """Prints a profile."""
    print("\n".join(lines(result)))


def lines(result: Mapping[str, Any]) -> list[str]:
    """A profile for people: costs, budgets, the costliest parts."""
    prefix = "" if result["measured"] else "predicted_"
    shown = {key: value for key, value in result.items() if key not in ("budgets", "costliest")}
    said = fields({f"{prefix}{key}" if key.endswith("_ms") else key: value for key, value in shown.items()})
    for budget in result["budgets"]:
        limit = format_amount(budget["metric"], budget["limit"])
        feasible = "can be kept" if budget["feasible"] else "cannot be kept"
        most = f"; {budget['dearest']}" if "dearest" in budget else ""
        said.append(f"{budget['metric']} budget {budget['text']} (at most {limit}): {feasible}{most}")
    kind = "" if result["measured"] else " predicted"
    said.append("costliest")
    for block in result["costliest"]:
        latency = format_amount("latency", block["ms"])
        said.append(f"  {block['block']}: {latency}{kind}, {100 * block['share']:.0f} %")
    return said


def check(budgets: list[dict[str, Any]]) -> None:
    """Raises a BudgetError for the first budget that no network of the space keeps."""
    for budget in budgets:
        if not budget["feasible"]:
            asked, nearest = budget["text"], format_amount(budget["metric"], budget["nearest"])
            most = f"; {budget['dearest']}" if "dearest" in budget else ""
            raise BudgetError(
                f"{budget['metric']} budget {asked} cannot be kept; the nearest feasible one is"
                f" {nearest}{most}"
            )
