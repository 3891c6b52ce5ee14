"""Several identical boards as one bench: the models of a call are split over them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hwtickets.devices.connect import open_bench
from hwtickets.devices.fingerprint import differences, fingerprint_id
from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from hwtickets.runtimes.bench import Bench, Model
    from hwtickets.runtimes.onnxruntime import Array
    from hwtickets.runtimes.profiling import NodeTime
    from hwtickets.runtimes.timing import Timing

#: Name of the model that every board times in every call, so that their times can be compared.
REFERENCE = "reference"
#: Boards of one kind were seen to differ by a few percent.
_MOST_DIFFERENCE = 0.15
#: Noise of single calls is no difference of boards: three calls of four have to show it.
_SHARE_WITHOUT = 0.25
_CALLS_TO_JUDGE = 3


def open_boards(profiles: Sequence[DeviceProfile], precision: str) -> Bench:
    """Reaches one device, or several that are identical.

    Args:
        profiles: At least one.
        precision: Of the networks that will be measured.

    Raises:
        DeviceError: One cannot be measured.
        UsageError: They are not identical, the text says what differs; or two are one board.
    """
    if len(profiles) == 1:
        return open_bench(profiles[0], precision)
    _require_several(profiles)
    with contextlib.ExitStack() as on_failure:
        benches = [on_failure.enter_context(open_bench(profile, precision)) for profile in profiles]
        for profile, bench in zip(profiles[1:], benches[1:], strict=True):
            _require_identical(profiles[0], benches[0], profile, bench)
        on_failure.pop_all()
    return SeveralBoards([profile.name for profile in profiles], benches)


class SeveralBoards:
    """Identical boards; the first one does what cannot be split.

    Attributes:
        fingerprint: Of the first board.
        boards: How many there are.
        first: The first board.

    Args:
        names: Of the boards, for messages.
        benches: As many, of equal fingerprints but for the name; are closed with this one.
    """

    def __init__(self, names: Sequence[str], benches: Sequence[Bench]) -> None:
        self.fingerprint: Mapping[str, str] = benches[0].fingerprint
        self.boards, self.first = len(benches), benches[0]
        self._names, self._benches = list(names), list(benches)
        self._relative_speeds: list[list[float]] = []

    def time(
        self,
        models: Mapping[str, Model],
        inputs: Mapping[str, Array],
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        """Times models, each on one board, in the speed of the middle board.

        Without a model of the name `REFERENCE` nothing would tie the boards together, so that all models run
        on the first one.

        Raises:
            DeviceError: The boards do not agree on the reference.
        """
        if REFERENCE not in models:
            return self.first.time(models, inputs, runs, warmup, seconds)
        names = [name for name in models if name != REFERENCE]
        shares = [[*names[board :: self.boards], REFERENCE] for board in range(self.boards)]

        def measured(bench: Bench, share: Sequence[str]) -> dict[str, Timing]:
            return bench.time({name: models[name] for name in share}, inputs, runs, warmup, seconds)

        with ThreadPoolExecutor(self.boards) as threads:
            found = list(threads.map(measured, self._benches, shares))
        reference_ms = [timings[REFERENCE].p50_ms for timings in found]
        middle_ms = float(np.median(reference_ms))
        self._require_alike([ms / middle_ms for ms in reference_ms])
        return {
            name: _scaled(timing, middle_ms / ms)
            for timings, ms in zip(found, reference_ms, strict=True)
            for name, timing in timings.items()
        }

    def node_times(self, model: Model, inputs: Mapping[str, Array], runs: int = 200) -> dict[str, NodeTime]:
        """Times of the operators that the runtime executes, on the first board."""
        return self.first.node_times(model, inputs, runs)

    def run(self, model: Model, batches: Iterable[Mapping[str, Array]]) -> list[list[Array]]:
        """All outputs for each set of inputs, from the first board."""
        return self.first.run(model, batches)

    def close(self) -> None:
        """Frees all boards."""
        with contextlib.ExitStack() as all_of_them:
            for bench in self._benches:
                all_of_them.callback(bench.close)

    def __enter__(self) -> SeveralBoards:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _require_alike(self, relative_speeds: list[float]) -> None:
        self._relative_speeds.append(relative_speeds)
        if len(self._relative_speeds) < _CALLS_TO_JUDGE:
            return
        calls = np.array(self._relative_speeds)
        usual = np.median(calls, axis=0)
        slow, fast = int(usual.argmax()), int(usual.argmin())
        difference = float(np.quantile(calls[:, slow] / calls[:, fast], _SHARE_WITHOUT, method="lower")) - 1
        if difference > _MOST_DIFFERENCE:
            lame, quick = self._names[slow], self._names[fast]
            raise DeviceError(
                f"{lame} takes {100 * difference:.0f} % longer than {quick} for the same network: they are"
                " not identical boards; check cooling and power mode (hwtickets devices check), or measure on"
                " one"
            )


def _scaled(timing: Timing, factor: float) -> Timing:
    return replace(timing, samples_ms=[factor * ms for ms in timing.samples_ms])


def _require_several(profiles: Sequence[DeviceProfile]) -> None:
    """Two names of one board would end each other's agents."""
    names: dict[str, str] = {}
    for profile in profiles:
        if profile.host and names.setdefault(profile.host, profile.name) != profile.name:
            raise UsageError(
                f"{names[profile.host]} and {profile.name} are one board ({profile.host}): name it once"
            )


def _require_identical(
    first: DeviceProfile, first_bench: Bench, other: DeviceProfile, other_bench: Bench
) -> None:
    one, two = ({**bench.fingerprint, "device": ""} for bench in (first_bench, other_bench))
    found = differences(one, two) if fingerprint_id(one) != fingerprint_id(two) else []
    if first.alignment != other.alignment:
        found.append(f"alignment: {first.alignment} -> {other.alignment}")
    if found:
        raise UsageError(
            f"{first.name} and {other.name} are not identical, so that no table holds for both:"
            f" {'; '.join(found)}"
        )
