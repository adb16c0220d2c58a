"""Summaries of columns that are read part by part: exact while one part has all rows, or the different values are few.

Beyond that, they take a bounded amount of memory, with these errors:

- *Mean, standard deviation, least and greatest value, number of rows*: exact, but for rounding.
- *Bins* (:class:`DistinctNumbers`): quantiles of :data:`MOST_NUMBERS` of the different values, drawn at random by
  their hashes. The standard error of the rank of a quantile q is ``sqrt(q * (1 - q) / MOST_NUMBERS)``: 0.3 % at most.
- *Categories* (:class:`TextCounts`): a text in more than one of :data:`MOST_TEXTS` rows is never lost, and its count is
  too low by that share at most. The number of different texts has a standard error of 0.6 %.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .read import Floats, factorize_as_text

__all__ = ["MOST_NUMBERS", "MOST_TEXTS", "DistinctNumbers", "Moments", "TextCounts", "mean_and_std"]

#: The number of different numbers of a column that are kept, once it has more than one part.
MOST_NUMBERS = 1 << 15
#: The number of different texts of a column that are kept and counted.
MOST_TEXTS = 100_000

_Hashes = npt.NDArray[np.uint64]


def mean_and_std(values: Floats) -> tuple[float, float]:
    """Return mean and standard deviation, computed without intermediate overflow."""
    scale = float(np.abs(values).max()) or 1.0
    scaled = values / scale
    mean = scaled.mean()
    spread = float(np.abs(scaled - mean).max()) or 1.0
    return float(mean * scale), float(((scaled - mean) / spread).std() * spread * scale)


class Moments:
    """Number, mean, standard deviation, least and greatest of the values of several parts.

    Source:
        Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*, 1979.

    Example:
        >>> moments = Moments()
        >>> moments.add(np.array([1.0, 2.0]))
        >>> moments.add(np.array([3.0]))
        >>> moments.count, moments.mean_and_std()
        (3, (2.0, 0.816496580927726))
    """

    def __init__(self) -> None:
        self._parts: list[tuple[int, float, float]] = []
        self.least, self.greatest = math.inf, -math.inf

    def add(self, values: Floats) -> None:
        """Add a part, without missing values."""
        if len(values):
            self._parts.append((len(values), *mean_and_std(values)))
            self.least = min(self.least, float(values.min()))
            self.greatest = max(self.greatest, float(values.max()))

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(count for count, _, _ in self._parts)

    def mean_and_std(self) -> tuple[float, float]:
        """Return mean and standard deviation of all values, of which there is at least one."""
        if len(self._parts) == 1:
            return self._parts[0][1:]
        counts, means, stds = (np.array(each) for each in zip(*self._parts, strict=True))
        # A power of two, by which numbers are divided without rounding.
        scale = math.ldexp(1.0, math.frexp(max(abs(self.least), abs(self.greatest)))[1] - 1)
        scaled = means / scale
        mean = float((counts * scaled).sum() / counts.sum())
        apart = scaled - mean
        spread = float(max(np.abs(apart).max(), (stds / scale).max())) or 1.0
        squares = counts * ((stds / scale / spread) ** 2 + (apart / spread) ** 2)
        return mean * scale, math.sqrt(float(squares.sum() / counts.sum())) * spread * scale


class DistinctNumbers:
    """The different numbers of several parts, or as many of them as are kept.

    Those with the smallest hashes are kept, which is a random sample without replacement of the different numbers.

    Source:
        Cohen and Kaplan, *Summarizing Data using Bottom-k Sketches*, 2007.

    Args:
        most: The greatest number that is kept once there is a second part.

    Example:
        >>> numbers = DistinctNumbers(most=2)
        >>> for part in ([1.0, 1.0, 2.0, 3.0], [4.0]):
        ...     numbers.add(np.array(part))
        >>> len(numbers.values)
        2
    """

    def __init__(self, most: int = MOST_NUMBERS) -> None:
        self._most = most
        #: Numbers; all of them, also repeated ones, while there is one part.
        self.values: Floats = np.empty(0)
        self._has_parts = False

    def add(self, values: Floats) -> None:
        """Add a part, without missing values."""
        if not self._has_parts:
            self.values, self._has_parts = values, True
            return
        if len(self.values) > self._most:
            self.values = self._smallest(self.values)
        self.values = self._smallest(np.concatenate([self.values, values]))

    def _smallest(self, values: Floats) -> Floats:
        # Zero has two signs, and one value.
        distinct = np.unique(values + 0.0)
        if len(distinct) <= self._most:
            return distinct
        hashes = _mixed(distinct.view(np.uint64))
        chosen = np.sort(np.argpartition(hashes, self._most)[: self._most])
        return distinct[chosen]


class TextCounts:
    """The number of rows of each text in several parts, of as many texts as are kept.

    Source:
        Misra and Gries, *Finding Repeated Elements*, 1982, whose summaries are merged as in Agarwal et al.,
        *Mergeable Summaries*, 2012; and, for the number of texts, Bar-Yossef et al., *Counting Distinct Elements in a
        Data Stream*, 2002.

    Args:
        most: The greatest number of texts that is kept once there is a second part.

    Example:
        >>> texts = TextCounts()
        >>> for part in (["a", "b"], ["b", None]):
        ...     texts.add(pd.Series(part))
        >>> texts.most_common(1), texts.distinct, texts.is_exact
        (['b'], 2, True)
    """

    def __init__(self, most: int = MOST_TEXTS) -> None:
        self._most = most
        self._counts: dict[str, int] = {}
        # The smallest hashes of all texts, once some are not kept any more.
        self._hashes: _Hashes | None = None
        self._are_text: list[bool] = []

    def add(self, series: pd.Series[Any]) -> None:
        """Add a part; missing values do not count."""
        if len(self._counts) > self._most:
            self._prune()
        rows, texts = factorize_as_text(series)
        counts = np.bincount(rows[rows >= 0], minlength=len(texts)).tolist()
        if self._hashes is not None:
            self._hashes = self._smallest(np.concatenate([self._hashes, _hashes_of(texts)]))
        for text, count in zip(texts, counts, strict=True):
            self._counts[text] = self._counts.get(text, 0) + count
        self._are_text.append(pd.api.types.infer_dtype(series.dropna().astype(object)) == "string")

    def _prune(self) -> None:
        if self._hashes is None:
            self._hashes = self._smallest(_hashes_of(list(self._counts)))
        counts = np.fromiter(self._counts.values(), np.int64, len(self._counts))
        next_largest = int(np.partition(counts, len(counts) - self._most - 1)[len(counts) - self._most - 1])
        self._counts = {text: n - next_largest for text, n in self._counts.items() if n > next_largest}

    def _smallest(self, hashes: _Hashes) -> _Hashes:
        distinct = np.unique(hashes)
        return distinct[:MOST_NUMBERS]

    @property
    def is_exact(self) -> bool:
        """True if all texts are kept."""
        return self._hashes is None

    @property
    def distinct(self) -> int:
        """The number of different texts; an estimate, if not all are kept."""
        if self._hashes is None:
            return len(self._counts)
        if len(self._hashes) < MOST_NUMBERS:
            return len(self._hashes)
        return round((MOST_NUMBERS - 1) / (float(self._hashes[-1]) / 2.0**64))

    @property
    def is_text(self) -> bool:
        """True if all values are text."""
        return all(self._are_text)

    def most_common(self, most: int) -> list[str]:
        """Return the most frequent texts, sorted; all of them, if there are no more."""
        ranked = sorted(self._counts, key=self._counts.__getitem__, reverse=True)
        return sorted(ranked[:most])


def _hashes_of(texts: list[str]) -> _Hashes:
    hashes: _Hashes = pd.util.hash_array(np.array(texts, dtype=object), categorize=False)
    return hashes


def _mixed(bits: _Hashes) -> _Hashes:
    """Return hashes of 64 bits: the finalizer of SplitMix64."""
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes: _Hashes = mixed ^ (mixed >> np.uint64(31))
    return hashes
