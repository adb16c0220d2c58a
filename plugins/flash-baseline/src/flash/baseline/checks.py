"""Checks of data before anything is trained, and of labels afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flash.data.tables import Table

from ._columns import columns_of_parts
from ._noise import suspicious_labels
from ._sample_checks import sample_findings
from ._table_checks import CHECKS, TableParts
from .results import Finding

__all__ = ["check_samples", "check_table", "suspicious_labels"]

_LEVELS = ("error", "warning", "info")


def check_table(
    parts: Mapping[str, Table],
    targets: Sequence[str],
    group: str | None = None,
    time: str | None = None,
    *,
    kind: str | None = None,
) -> list[Finding]:
    """Check a table before anything is trained.

    It looks for duplicates within and between parts, contradictions, columns that give the target away, ids, constants,
    copies, groups, times, drift between parts, rare classes, missing values and mixed types. Checks that fit a model
    use a sample of the rows if there are many.

    Args:
        parts: The table of ``"train"``, and of ``"val"`` and ``"test"`` if they are given.
        targets: The columns to predict.
        group: The column of groups that the rows are split by, if there is one.
        time: The column of times that the rows are split by, if there is one.
        kind: ``"classification"``, ``"multi-label"`` or ``"regression"``; by default decided by the values.

    Returns:
        What was found, the worst first.

    Raises:
        MissingColumnError: If a target is not in the first part.

    Example:
        >>> table = Table({"size": [1, 2, 3, 4] * 30, "sold": ["yes", "no", "no", "yes"] * 30})
        >>> [finding.kind for finding in check_table({"train": table}, ["sold"])]
        ['leak']
    """
    for target in targets:
        # The error names the closest column.
        next(iter(parts.values()))[target]
    columns, slices = columns_of_parts(parts, targets)
    classification = None if kind is None else kind != "regression"
    table = TableParts(columns, slices, list(targets), classification, group, time)
    return _worst_first([finding for check in CHECKS for finding in check(table)])


def check_samples(
    parts: Mapping[str, Sequence[Any]],
    targets: Mapping[str, Sequence[Any]],
    *,
    names: Mapping[str, Sequence[Any]] | None = None,
    noun: str = "image",
) -> list[Finding]:
    """Check texts or images before anything is trained.

    It looks for duplicates and near duplicates within and between parts, contradicting labels, empty texts, words that
    give the class away, sizes and formats of images that differ by class, and rare classes.

    Args:
        parts: The samples of each part: texts, images ``(height, width, channels)`` of uint8, or paths of files, whose
            content is compared.
        targets: The label of each sample, or a list of labels, or a number, of each part; ``None`` if it has none.
        names: What identifies each sample, such as its file name; by default the path, or else its number.
        noun: What an image shows, such as ``"recording"`` of spectrograms.

    Returns:
        What was found, the worst first.

    Raises:
        DataError: If a part has not one target per sample.

    Example:
        >>> texts = {"train": ["Good food!", "Bad food!"] * 20, "test": ["good food", "no"]}
        >>> labels = {"train": ["pos", "neg"] * 20, "test": ["pos", "neg"]}
        >>> check_samples(texts, labels)[0].kind
        'duplicates'
    """
    return _worst_first(list(sample_findings(parts, targets, names, noun)))


def _worst_first(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: _LEVELS.index(finding.level))
