"""The verdict of a baseline in a few plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .results import Comparison, Entry, Results

__all__ = ["checkpoint_of", "format_number", "metric_words", "summary_of", "verdict_of"]

_OVERCONFIDENT = 0.1
_FEW_SAMPLES = 100
_MUCH_LOWER = 0.3
_LONGEST_NAME = 60
# What is left of sums that are 0, whose sign says nothing.
_NOTHING = 1e-15
_METRICS = {
    "iou": "mean IoU",
    "map": "mean average precision",
    "map_50": "mean average precision at IoU 0.5",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "auroc": "AUROC",
    "f1": "F1",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "bleu": "BLEU",
    "chrf": "chrF",
    "f1_macro": "F1 (macro)",
}


def format_number(value: float | int | None) -> str:
    """Return a score as people read it: three decimals, and fewer of large numbers.

    Example:
        >>> [format_number(value) for value in (0.83215, 48679.2, None, 12, -1e-17)]
        ['0.832', '48,679', 'none', '12', '0.000']
    """
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size < _NOTHING:
        return "0.000"
    if size >= 0.001:
        return f"{value:.3f}"
    return f"{value:.2g}"


def metric_words(name: str) -> str:
    """Return the name of a metric as people write it.

    Example:
        >>> metric_words("rmse"), metric_words("balanced_accuracy"), metric_words("my_metric")
        ('RMSE', 'balanced accuracy', 'my metric')
    """
    return _METRICS.get(name, name.replace("_", " "))


def verdict_of(results: Results, evaluation: Mapping[str, Any]) -> list[str]:
    """Return the sentences of :func:`summary_of`, and what to worry about first."""
    best = _entry_of(results, results.best)
    return [*summary_of(results), _worry(results, evaluation, best)]


def summary_of(results: Results) -> list[str]:
    """Return which model is best, how good it is and beside which others, and which one the checkpoint is."""
    best = _entry_of(results, results.best)
    if best is None:
        return [" ".join(filter(None, ("No model was evaluated.", _failures(results))))]
    others = [each for each in results.comparisons if each.first == best.name and each.second != results.checkpoint]
    beside = " ".join(_beside(results, each) for each in others)
    others_there = beside or any(each.first == best.name for each in results.comparisons)
    said = [f"The best model is {_name(best)}{_quality(results, best)}"]
    said += [beside or "It was compared with no other model."] if beside or not others_there else []
    return [*said, _about_checkpoint(results, best)]


def checkpoint_of(results: Results) -> dict[str, Any] | None:
    """Return which model the checkpoint is, how good it is, and how far from the best one; ``None`` without any."""
    entry = _entry_of(results, results.checkpoint)
    if entry is None:
        return None
    part, score, interval = _score(results, entry)
    behind = next((each for each in results.comparisons if each.second == entry.name), None)
    return {
        "name": entry.name,
        "file": "best.ckpt",
        "metric": results.metric,
        "part": part,
        "score": score,
        "interval": interval,
        "behind": None if behind is None else behind.difference,
        "behind_interval": None if behind is None else behind.interval,
    }


def _entry_of(results: Results, name: str | None) -> Entry | None:
    return next((entry for entry in results.entries if entry.name == name), None)


def _failures(results: Results) -> str:
    failed = sum(entry.status == "failed" for entry in results.entries)
    return f"{failed} of {len(results.entries)} models failed: the leaderboard says why." if failed else ""


def _about_checkpoint(results: Results, best: Entry) -> str:
    entry = _entry_of(results, results.checkpoint)
    if entry is None:
        said = "No network was evaluated, so there is no checkpoint."
        return " ".join(filter(None, (said, _failures(results))))
    if entry.name == best.name:
        return "It is in best.ckpt."
    said = f"best.ckpt holds {_name(entry)}, the best one that a checkpoint can hold{_quality(results, entry)}"
    behind = next((each for each in results.comparisons if each.second == entry.name), None)
    return said if behind is None else f"{said} {_beside(results, behind.reversed())}"


def _name(entry: Entry) -> str:
    if entry.kind == "ensemble":
        return "the ensemble"
    kinds = {"trivial": "the trivial model", "classical": "the classical model", "network": "the network"}
    return f"{kinds[entry.kind]} “{_short(entry.name)}”"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _score(results: Results, entry: Entry) -> tuple[str, float | None, Sequence[float] | None]:
    """Return the part that an entry was evaluated on last, its metric on it, and the interval of that."""
    if results.part == "test" and entry.test_scores:
        return "test", entry.test_scores.get(results.metric), entry.test_interval
    return "val", entry.scores.get(results.metric), entry.interval


def _quality(results: Results, entry: Entry) -> str:
    """Return how good an entry is, as the end of a sentence about it."""
    key, value, interval = _score(results, entry)
    part = "test" if key == "test" else "validation"
    count = results.counts.get(key)
    metric = metric_words(results.metric)
    if value is None:
        return f"; its {metric} is not known."
    said = f": {metric} {format_number(value)}"
    if interval is not None:
        said += f" (95% interval {format_number(interval[0])} to {format_number(interval[1])})"
    return said + (f" on {count:,} {part} samples." if count else f" on the {part} samples.")


def _beside(results: Results, comparison: Comparison) -> str:
    other = _entry_of(results, comparison.second)
    name = _name(other) if other else f"“{_short(comparison.second)}”"
    size = format_number(abs(comparison.difference))
    if comparison.interval is None:
        return f"There are too few samples to tell it from {name}."
    ahead = comparison.difference >= 0
    bounds = sorted(bound if ahead else -bound for bound in comparison.interval)
    by = f"by {size} (95% interval {format_number(bounds[0])} to {format_number(bounds[1])})"
    if comparison.difference == 0 and not comparison.exceeds_noise:
        return f"It is level with {name} (95% interval of the difference {format_number(bounds[0])} to " + (
            f"{format_number(bounds[1])})."
        )
    if not comparison.exceeds_noise:
        return f"It is ahead of {name} {by}, within noise." if ahead else f"It is behind {name} {by}, within noise."
    if ahead:
        return f"It is better than {name} {by}, more than noise."
    return f"It is worse than {name} {by}, more than noise: use that one."


def _worry(results: Results, evaluation: Mapping[str, Any], best: Entry | None) -> str:
    """Return what to look at first: a finding, or else what the evaluation of the best model shows."""
    serious = [finding for finding in results.findings if finding.level != "info"]
    if serious:
        more = f" ({len(serious) - 1} more below.)" if len(serious) > 1 else ""
        return f"Look at this first: {serious[0].sentence}{more}"
    count = results.counts.get(results.part, 0)
    if best is not None and 0 < count < _FEW_SAMPLES:
        return f"Look at this first: {count} {results.part} samples are few, so the interval is wide."
    calibration = evaluation.get("calibration", {})
    if calibration and calibration["confidence"] - calibration["accuracy"] > _OVERCONFIDENT:
        return (
            f"Look at this first: its probabilities are too high, {calibration['confidence']:.2f} on average where "
            f"{calibration['accuracy']:.2f} of the predictions are right."
        )
    recalls = [row for row in evaluation.get("per_class", []) if row.get("recall") is not None]
    weakest = min(recalls, key=lambda row: row["recall"], default=None)
    if weakest and weakest["recall"] < max(row["recall"] for row in recalls) - _MUCH_LOWER:
        return f"Look at this first: of the class “{_short(weakest['label'])}”, it finds {weakest['recall']:.0%} only."
    return "The checks found nothing that makes these scores wrong."
