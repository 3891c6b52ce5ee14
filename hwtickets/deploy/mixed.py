"""Precision as a choice of each block: the least loss within a latency, measured on the device."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hwtickets.budgets import Budget, format_amount
from hwtickets.deploy.columns import RUNS, MixableNetwork, measured_columns
from hwtickets.deploy.evidence import Evidence
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import QuantizationRecipe, Quantizer
from hwtickets.errors import BudgetError, NumericsError
from hwtickets.progress import Progress
from hwtickets.runtimes import Bench
from hwtickets.sparsity.precisions import (
    PrecisionChoice,
    PrecisionColumns,
    choose_precisions,
    fastest_choice,
)
from hwtickets.tasks.task import Task

#: Choices that are measured at most.
_MOST_TURNS = 5


@dataclass(frozen=True)
class Turn:
    """One turn of the loop.

    Attributes:
        choice: Precision of every part.
        model: The serialized network.
        predicted_ms: Corrected by what was measured before.
        measured_ms: What the device showed.
        limit_ms: The budget; a share is one of the network in fp32 that ran next to it.
    """

    choice: PrecisionChoice
    model: bytes
    predicted_ms: float
    measured_ms: float
    limit_ms: float

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.measured_ms <= self.limit_ms


class Mixed:
    """Each block in fp32 or int8, so that a latency is kept at the least loss; see `choose_precisions`.

    Args:
        task: Gives the images, and says what the score is.
        recipe: What the runtime wants of int8.
        max_drop: How much the score may fall on validation images, in the metric's unit.
        latency: The budget; a share is one of the ticket's own latency in fp32.
        bench: The device.
        blocks: Names of the searching blocks.
        progress: Shows one stage.
    """

    name = "mixed"

    def __init__(
        self,
        task: Task,
        recipe: QuantizationRecipe,
        max_drop: float,
        latency: Budget,
        bench: Bench,
        blocks: Collection[str],
        progress: Progress,
    ) -> None:
        self._task, self._recipe, self._max_drop, self._latency = task, recipe, max_drop, latency
        self._bench, self._blocks, self._progress = bench, list(blocks), progress

    def converted(self, model: bytes) -> tuple[bytes, dict[str, Any]]:
        """The network with QuantizeLinear and DequantizeLinear around what is in int8.

        Raises:
            BudgetError: No mix that was measured keeps the latency; names the fastest.
            NumericsError: The one that keeps it loses more than it may.
        """
        with self._progress.stage("quantize"):
            evidence = Evidence(self._task)
            quantizer = Quantizer(model, self._recipe, evidence.calibration)
            network = MixableNetwork(model, parts_of(model, self._blocks), quantizer, self._blocks)
            columns = measured_columns(network, evidence, self._bench)
            turns = self._turns(network, columns, evidence)
            best = _best(turns)
            exact, score = evidence.score(model), evidence.score(best.model)
        if score < exact - self._max_drop:
            raise NumericsError(
                f"the mix of fp32 and int8 that keeps {format_amount('latency', best.limit_ms)} loses"
                f" {exact - score:.3g} points, {self._max_drop:g} are allowed; allow more (--max-drop) or a"
                " longer latency (--latency)"
            )
        return best.model, {
            "recipe": self._recipe.name,
            "calibration_images": len(evidence.calibration),
            "validation_images": len(evidence.images),
            "score_fp32": exact,
            "score": score,
            "latency_limit_ms": best.limit_ms,
            "latency_ms": best.measured_ms,
            "draws": [
                {"predicted_ms": turn.predicted_ms, "measured_ms": turn.measured_ms, "kept": turn.kept}
                for turn in turns
            ],
            "parts": _described(columns, best.choice),
        }

    def _turns(self, network: MixableNetwork, columns: PrecisionColumns, evidence: Evidence) -> list[Turn]:
        """Chooses, measures and corrects the prediction until the choice stays the same."""
        turns: list[Turn] = []
        limit_ms, correction = self._latency.limit(columns.latency_of(network.only())), 1.0
        while len(turns) < _MOST_TURNS:
            choice = _choice(columns, limit_ms / correction)
            if any(turn.choice.precisions == choice.precisions for turn in turns):
                break
            model = network.mixed(choice.precisions)
            models = {"fp32": network.exact, "mixed": model}
            timings = self._bench.time(models, {"x": evidence.images[:1]}, RUNS)
            limit_ms, measured_ms = self._latency.limit(timings["fp32"].p50_ms), timings["mixed"].p50_ms
            turns.append(Turn(choice, model, correction * choice.latency_ms, measured_ms, limit_ms))
            correction = measured_ms / choice.latency_ms
        return turns


def _choice(columns: PrecisionColumns, limit_ms: float) -> PrecisionChoice:
    try:
        return choose_precisions(columns, limit_ms)
    except BudgetError:
        # The prediction may be wrong: the device has the last word.
        return fastest_choice(columns)


def _best(turns: list[Turn]) -> Turn:
    kept = [turn for turn in turns if turn.kept]
    if not kept:
        fastest = min(turns, key=lambda turn: turn.measured_ms)
        raise BudgetError(
            f"budget latency {format_amount('latency', fastest.limit_ms)} is below every mix of fp32 and int8"
            f" of this ticket that was measured; the fastest takes"
            f" {format_amount('latency', fastest.measured_ms)}; draw a smaller ticket, or allow more"
            " (--latency)"
        )
    return min(kept, key=lambda turn: (turn.choice.loss, turn.measured_ms))


def _described(columns: PrecisionColumns, choice: PrecisionChoice) -> dict[str, Any]:
    return {
        part: {
            "precision": choice.precisions[part],
            "fp32_ms": float(columns.latency_ms[row, 0]),
            "int8_ms": float(columns.latency_ms[row, 1]),
            "loss_int8": float(columns.loss[row, 1]),
        }
        for row, part in enumerate(columns.parts)
    }
