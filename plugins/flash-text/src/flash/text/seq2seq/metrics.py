"""Metrics of written texts, from torchmetrics, each a single number between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import CHRFScore, ROUGEScore, SacreBLEUScore

__all__ = ["Bleu", "Rouge", "summarization_metrics", "translation_metrics"]


class Rouge(ROUGEScore):
    """The F-measure of one kind of ROUGE: words, pairs of words, or the longest common subsequence.

    It looks at the letters a to z and digits alone, so that it says nothing about other alphabets. Source: Lin, ROUGE
    (2004), through torchmetrics.

    Args:
        key: ``"rouge1"``, ``"rouge2"`` or ``"rougeL"``.

    Example:
        >>> metric = Rouge("rouge1")
        >>> metric.update(["the cat sat"], ["the cat slept"])
        >>> round(float(metric.compute()), 2)
        0.67
    """

    def __init__(self, key: str) -> None:
        super().__init__(rouge_keys=key)
        self.key = key

    def compute(self) -> Tensor:  # type: ignore[override]  # the one number that is logged, in place of three
        """The mean F-measure over all texts."""
        return super().compute()[f"{self.key}_fmeasure"]


class Bleu(SacreBLEUScore):
    """BLEU as sacreBLEU counts it, with the tokens of its 13a rule.

    Source: Post, A Call for Clarity in Reporting BLEU Scores (2018), through torchmetrics.

    Example:
        >>> metric = Bleu()
        >>> metric.update(["Das ist ein rotes Haus."], ["Das ist ein rotes Haus!"])
        >>> round(float(metric.compute()), 2)
        0.76
    """

    def update(self, preds: Sequence[str], target: Sequence[str] | Sequence[Sequence[str]]) -> None:
        """Take in written texts with one target each, or with several."""
        # Without the lists, torchmetrics would take each letter of a target for a target.
        super().update(preds, [[each] if isinstance(each, str) else each for each in target])


def summarization_metrics() -> dict[str, Metric]:
    """ROUGE-1, ROUGE-2 and ROUGE-L.

    Example:
        >>> list(summarization_metrics())
        ['rouge1', 'rouge2', 'rougeL']
    """
    return {key: Rouge(key) for key in ("rouge1", "rouge2", "rougeL")}


def translation_metrics() -> dict[str, Metric]:
    """BLEU, and chrF, which compares letters alone (Popović, 2015).

    Example:
        >>> list(translation_metrics())
        ['bleu', 'chrf']
    """
    return {"bleu": Bleu(), "chrf": CHRFScore(n_word_order=0)}
