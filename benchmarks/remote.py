"""Whether a table built over ssh is the one built here, and whether kills cost it anything.

The board is this machine behind an ssh server on the loopback interface, so that both sides have one speed.

1. Tables of the demo's supernet, built here, over ssh, and here again: predictions for the same networks are
   compared. What the two local tables differ by is the noise.
2. `hwtickets table build` over ssh while the agent and the client are killed (SIGKILL) at random moments:
   what was measured before must still be there, once, and the table must be the one that the journal alone
   gives: the same plan, the same rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.loopback import Loopback, loopback_boards, missing_reason
from hwtickets.devices import get_device
from hwtickets.errors import DeviceError
from hwtickets.progress import Progress
from hwtickets.space.space import SearchSpace
from hwtickets.tables import LatencyTable, build_table, load_table, table_folder
from hwtickets.tables.sampling import sampled_networks

_BOARD = "loopback"
_SHAPE = (1, 28, 28)
_COMPARED = 100
#: Records between two kills.
_FEWEST, _MOST = 2, 12
_LIMIT_S = 900.0
_JOURNAL = "onnxruntime-fp32.partial.jsonl"
_CLIENT = "from hwtickets.cli.main import main; main()"


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument("--kills", type=int, default=10, help="how many processes are killed (default: 10)")
    parser.add_argument(
        "--networks",
        type=int,
        help="networks that the compared tables are fitted on (default: as usual)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    reason = missing_reason()
    if reason:
        raise DeviceError(reason)
    config = common.search_config(options.config)
    space = common.empty_space(config.supernet, _SHAPE)
    settings = {"supernet": config.supernet, "networks": options.networks, "kills": options.kills}
    points = common.Points("remote", options.output, {**settings, "seed": options.seed})
    with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
        os.environ["HWTICKETS_HOME"] = folder
        with loopback_boards(Path(folder) / "ssh", _BOARD) as loopback:
            tables = points.once({"part": "tables"}, lambda: compared_tables(space, options.networks))
            kills = points.once(
                {"part": "kills"},
                lambda: killed_build(loopback, space, options.config, options.kills, options.seed),
            )
    common.show({"tables": tables, "kills": kills}, _shown(tables, kills), options.json)


def compared_tables(space: SearchSpace, networks: int | None) -> dict[str, Any]:
    """Predictions of tables built here, over ssh and here again, on the same new networks."""
    found: dict[str, Any] = {}
    first = np.empty(0)
    graphs = sampled_networks(space, get_device("cpu").alignment, _COMPARED, seed=2_000_003)
    for name, device in (("local", "cpu"), ("ssh", _BOARD), ("local again", "cpu")):
        with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
            progress = Progress(quiet=True)
            table = build_table(space, get_device(device), Path(folder), progress, networks=networks)
        predicted_ms = np.array([table.predict(graph).ms for graph in graphs])
        first = first if first.size else predicted_ms
        ratio = predicted_ms / first
        found[name] = {
            "rows": len(table.rows),
            "seconds": table.provenance["seconds"],
            "median_error": table.error["median_error"],
            "speed_against_local": float(np.median(ratio)),
            "spread": float(np.percentile(np.abs(ratio / np.median(ratio) - 1), 90)),
        }
    return found


def killed_build(
    loopback: Loopback, space: SearchSpace, config: Path | None, kills: int, seed: int
) -> dict[str, Any]:
    """Builds a table over ssh through the command line while its processes are killed."""
    moments = random.Random(seed)
    folder = table_folder(get_device(_BOARD), space)
    journal = folder / _JOURNAL
    log = loopback.folder / "client.log"
    client = _started(config, log)
    kept: list[str] = []
    events: list[dict[str, Any]] = []
    try:
        for _ in range(kills):
            before = len(kept)
            kept = _wait_for(journal, client, kept, before + moments.randint(_FEWEST, _MOST))
            if client.poll() is not None:
                break
            time.sleep(moments.random() / 2)
            victim = moments.choice(["agent", "client"])
            os.kill(client.pid if victim == "client" else _agent_pid(loopback), signal.SIGKILL)
            events.append({"victim": victim, "records": len(kept)})
            if victim == "client":
                client.wait()
                client = _started(config, log)
        kept = _wait_for(journal, client, kept, sys.maxsize)
        if client.returncode:
            raise DeviceError(f"the build failed: {log.read_text().strip().splitlines()[-1]}")
    finally:
        client.kill()
        client.wait()
    table = load_table(folder, "onnxruntime", "fp32")
    return {"events": events, **_verdict(table, kept, events, space)}


def _verdict(table: LatencyTable, kept: list[str], events: list[Any], space: SearchSpace) -> dict[str, Any]:
    """What the kills cost: the journal alone, without them, must give the same table."""
    records = [json.loads(line) for line in kept[1:]]
    measured = [(record["kind"], record["index"]) for record in records]
    with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
        (Path(folder) / _JOURNAL).write_text("".join(f"{line}\n" for line in kept))
        calm = build_table(space, get_device(_BOARD), Path(folder), Progress(quiet=True))
    timeless = [
        {key: value for key, value in made.provenance.items() if key not in ("created", "seconds")}
        for made in (table, calm)
    ]
    return {
        "kills": len(events),
        "records": len(records),
        "measured_twice": len(measured) - len(set(measured)),
        "same_plan": timeless[0] == timeless[1],
        "same_rows": table.rows == calm.rows,
        "same_error": table.error == calm.error,
        "median_error": table.error["median_error"],
    }


def _wait_for(journal: Path, client: subprocess.Popen[bytes], kept: list[str], count: int) -> list[str]:
    """The journal's lines once there are `count`, or the last ones seen when the client is done.

    Raises:
        DeviceError: Lines of before are gone or changed, or nothing happens.
    """
    limit_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < limit_s:
        done = client.poll() is not None
        with contextlib.suppress(FileNotFoundError):
            text = journal.read_text()
            lines = text[: text.rfind("\n") + 1].splitlines()
            if lines[: len(kept)] != kept:
                raise DeviceError("the journal lost or changed what was measured before")
            kept = lines
        if done or len(kept) >= count:
            return kept
        time.sleep(0.02)
    raise DeviceError(f"the build did not get on within {_LIMIT_S:.0f} s")


def _started(config: Path | None, log: Path) -> subprocess.Popen[bytes]:
    sizes = common.search_config(config).supernet.sizes
    options = [part for key, value in sizes.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    line = ["table", "build", "--device", _BOARD, "--input", "x".join(map(str, _SHAPE)), *options]
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-c", _CLIENT, *line], stdout=file, stderr=file)


def _agent_pid(loopback: Loopback) -> int:
    """The agent that holds the board; waited for, as it may just be starting."""
    lock = loopback.folder / f"{_BOARD}-cache" / "lock"
    limit_s = time.monotonic() + _LIMIT_S
    while time.monotonic() < limit_s:
        with contextlib.suppress(ValueError, OSError):
            pid = int(json.loads(lock.read_text())["pid"])
            os.kill(pid, 0)
            return pid
        time.sleep(0.02)
    raise DeviceError("no agent holds the board")


def _shown(tables: dict[str, Any], kills: dict[str, Any]) -> list[common.Table]:
    built = [
        [
            name,
            str(part["rows"]),
            f"{part['seconds']:.0f}",
            common.percent(part["median_error"]),
            f"{part['speed_against_local']:.3f}",
            common.percent(part["spread"]),
        ]
        for name, part in tables.items()
    ]
    columns = ["table", "rows", "seconds", "median error", "times local", "p90 difference after scale"]
    title = f"Tables built here and over ssh: predictions for {_COMPARED} networks"
    shown = {**kills, "median_error": common.percent(kills["median_error"])}
    verdict = [[key.replace("_", " "), str(value)] for key, value in shown.items() if key != "events"]
    events = [
        [str(index), event["victim"], str(event["records"])] for index, event in enumerate(kills["events"], 1)
    ]
    return [
        common.Table(title, columns, built),
        common.Table("Kills: what was measured before each", ["kill", "victim", "records"], events),
        common.Table("After them", ["what", "value"], verdict),
    ]


if __name__ == "__main__":
    common.run(main)
