"""Metrics of generated texts, from torchmetrics, each with a single value between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import CHRFScore, ROUGEScore, SacreBLEUScore

__all__ = ["Bleu", "Rouge", "summarization_metrics", "translation_metrics"]


class Rouge(ROUGEScore):
    """The F-measure of one variant of ROUGE: unigrams, bigrams, or the longest common subsequence.

    Only the letters a to z and digits count, so that it is meaningless for other alphabets. Source: Lin, ROUGE (2004),
    through torchmetrics.

    Args:
        key: ``"rouge1"``, ``"rouge2"`` or ``"rougeL"``.
        use_stemmer: Whether words are compared by their stems; requires nltk.

    Example:
        >>> metric = Rouge("rouge1")
        >>> metric.update(["the cat sat"], ["the cat slept"])
        >>> round(float(metric.compute()), 2)
        0.67
    """

    def __init__(self, key: str, use_stemmer: bool = False) -> None:
        super().__init__(rouge_keys=key, use_stemmer=use_stemmer)
        self.key = key

    def compute(self) -> Tensor:  # type: ignore[override]  # a single value, in place of a dict
        """Return the mean F-measure over all texts."""
        return super().compute()[f"{self.key}_fmeasure"]


class Bleu(SacreBLEUScore):
    """BLEU as in sacreBLEU, with its 13a tokenization.

    Source: Post, A Call for Clarity in Reporting BLEU Scores (2018), through torchmetrics.

    Example:
        >>> metric = Bleu()
        >>> metric.update(["Das ist ein rotes Haus."], ["Das ist ein rotes Haus!"])
        >>> round(float(metric.compute()), 2)
        0.76
    """

    def update(self, preds: Sequence[str], target: Sequence[str] | Sequence[Sequence[str]]) -> None:
        """Add generated texts with one target or several targets each."""
        # Without the lists, torchmetrics would use each letter of a target as a target.
        super().update(preds, [[each] if isinstance(each, str) else each for each in target])


def summarization_metrics() -> dict[str, Metric]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L by name.

    Example:
        >>> list(summarization_metrics())
        ['rouge1', 'rouge2', 'rougeL']
    """
    return {key: Rouge(key) for key in ("rouge1", "rouge2", "rougeL")}


def translation_metrics() -> dict[str, Metric]:
    """Return BLEU and chrF, which compares character n-grams (Popović, 2015), by name.

    Example:
        >>> list(translation_metrics())
        ['bleu', 'chrf']
    """
    return {"bleu": Bleu(), "chrf": CHRFScore(n_word_order=0)}
