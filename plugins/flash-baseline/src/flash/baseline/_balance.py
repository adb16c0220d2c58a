"""Checks of the number of samples per class, for all kinds of data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flash.data.messages import show, show_some

from .results import Finding

__all__ = ["balance_findings"]

_FEW_SAMPLES = 5
# The most frequent class has this many times the samples of the rarest.
_UNEVEN = 20


def balance_findings(counts: Mapping[str, Mapping[str, int]], train: str, target: str = "class") -> Iterator[Finding]:
    """Yield what the number of samples per class of each part says.

    Args:
        counts: The number of samples per class, of each part.
        train: The part that is learned from.
        target: What the classes are of.
    """
    present = {name: int(count) for name, count in counts[train].items() if count}
    if len(present) < 2:
        what = f"all {train} samples are {show(next(iter(present)))}" if present else f"no {train} sample has one"
        yield Finding(
            "one class",
            "error",
            f"Expected at least two classes of {show(target)}, but {what}. Add samples of another class, or choose "
            "another target with --target.",
            columns=[target],
        )
        return
    rarest, most = min(present, key=present.__getitem__), max(present, key=present.__getitem__)
    few = sorted((name for name, count in present.items() if count < _FEW_SAMPLES), key=present.__getitem__)
    if few:
        yield Finding(
            "rare classes",
            "warning",
            f"Expected at least {_FEW_SAMPLES} {train} samples of each class, but {len(few)} of {len(present)} classes "
            f"have fewer, such as {show(rarest)} with {present[rarest]}. Add samples, or merge these classes with "
            f"others: {show_some(few)}.",
            columns=[target],
        )
    elif present[most] >= _UNEVEN * present[rarest]:
        yield Finding(
            "class balance",
            "info",
            f"Expected classes of similar size, but {show(most)} has {present[most]:,} {train} samples and "
            f"{show(rarest)} {present[rarest]:,}. Compare models by balanced_accuracy or f1_macro: predicting "
            f"{show(most)} for every sample has an accuracy of {present[most] / sum(present.values()):.1%}.",
            columns=[target],
        )
    for part, classes in counts.items():
        unknown = [name for name, count in classes.items() if count and name not in present]
        if unknown:
            yield Finding(
                "unknown classes",
                "warning",
                f"Expected the classes of {part} to be among those of {train}, but {show_some(unknown)} is not. A "
                f"model is wrong on each of these samples. Add {train} samples of these classes.",
                columns=[target],
            )
