"""Metrics of generated texts, from torchmetrics, each with a single value between 0 and 1."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import CHRFScore, ROUGEScore, SacreBLEUScore

__all__ = ["Bleu", "Rouge", "summarization_metrics", "translation_metrics", "words_of"]


# Scripts that are written without spaces between words: Han with kana, Thai and Lao, Burmese, Khmer, and more of Han.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0x20000, 0x3FFFF),
)
# Zero-width characters inside words.
_JOINERS = ("\u200c", "\u200d")


def words_of(text: str) -> str:
    """Return the words of a text in lower case, separated by spaces, as ROUGE compares them.

    Example:
        >>> words_of("It's 42 °C in Москве, 東京!")
        'it s 42 c in москве 東 京'
    """
    parts: list[str] = []
    for character in unicodedata.normalize("NFC", text).lower():
        kind = unicodedata.category(character)
        if character in _JOINERS:
            continue
        if kind[0] == "L" or kind in ("Nd", "Nl"):
            is_word = _is_unspaced(character) or bool(parts and _is_unspaced(parts[-1]))
            parts += [" ", character] if is_word else [character]
        else:
            parts.append(character if kind[0] == "M" else " ")
    return " ".join("".join(parts).split())


def _is_unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


class Rouge(ROUGEScore):
    """The F-measure of one variant of ROUGE: unigrams, bigrams, or the longest common subsequence.

    Texts are compared in lower case by their words: runs of letters, with their marks, and digits of any alphabet.
    In scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character is a word.
    Scores of ASCII texts are those of the package rouge_score. Source: Lin, ROUGE (2004), through torchmetrics.

    Args:
        key: ``"rouge1"``, ``"rouge2"`` or ``"rougeL"``.
        use_stemmer: Whether words are compared by their stems; requires nltk.

    Example:
        >>> metric = Rouge("rouge1")
        >>> metric.update(["the cat sat"], ["the cat slept"])
        >>> round(float(metric.compute()), 2)
        0.67
        >>> metric = Rouge("rouge1")
        >>> metric.update(["в москве дождь"], ["в москве снег"])
        >>> round(float(metric.compute()), 2)
        0.67
    """

    def __init__(self, key: str, use_stemmer: bool = False) -> None:
        super().__init__(rouge_keys=key, use_stemmer=use_stemmer, normalizer=words_of)
        self.key = key

    def compute(self) -> Tensor:  # type: ignore[override]  # a single value, in place of a dict
        """Return the mean F-measure over all texts."""
        return super().compute()[f"{self.key}_fmeasure"]


class Bleu(SacreBLEUScore):
    """BLEU as in sacreBLEU, with its 13a tokenization; for texts without spaces pass ``tokenize="char"`` or ``"zh"``.

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
