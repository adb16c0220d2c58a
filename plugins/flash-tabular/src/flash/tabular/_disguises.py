"""Recognize numbers, dates and times that are written as text, and say how to convert them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pandas as pd

__all__ = ["disguise_of"]

# The share of values that must look alike; the others are typos and words for missing values.
_SHARE = 0.9
# The number of values that are looked at.
_MOST = 10_000
_PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_DECIMAL_COMMA = r"[+-]?\d+,\d+"
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?"
_POINT_THOUSANDS = r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?[1-9]\d{0,2}(\.\d{3}){2,}"
_NUMBER = r"\d[\d,. ]*"
_CURRENCY = r"[$€£¥₹₩]|USD|EUR|GBP|CHF|JPY|CNY|INR"
_MONEY = rf"[+-]? ?({_CURRENCY}) ?[+-]?{_NUMBER}|[+-]?{_NUMBER} ?({_CURRENCY})"
_PERCENT = rf"[+-]?{_NUMBER} ?%"
_SPACES = r"[+-]?\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d+)?"
_UNIT = r"([+-]?\d[\d,.]*) ?([A-Za-z°µ/²³]{1,6})"
_CLOCK = r"( \d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?)?"
_DAY = rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_CLOCK}"
_YEAR_FIRST = rf"\d{{4}}([/.])\d{{1,2}}\1\d{{1,2}}{_CLOCK}"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NAMED_MONTH = rf"(?i:\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}}){_CLOCK}"
_TIME = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"


def disguise_of(series: pd.Series[Any]) -> str:
    """Return what the text of a column looks like and how to convert it, to end a sentence; empty if like nothing.

    Example:
        >>> disguise_of(pd.Series(["31.12.2024"], name="x"))
        "dates with the day first, such as '31.12.2024': convert it with pandas.to_datetime(frame['x'], dayfirst=True)"
    """
    known = series.dropna().head(_MOST).astype(object)
    if pd.api.types.infer_dtype(known) == "time":
        return f"times of day: convert it with pandas.to_timedelta({_cell(series)}.astype(str))"
    texts = [value.strip() for value in known if isinstance(value, str)]
    if not texts or len(texts) < len(known):
        return ""
    found = _numbers(texts, _cell(series)) or _dates(texts, _cell(series))
    if not found:
        return ""
    what, example, how = found
    return f"{what}, such as {example!r}: convert it with {how}"


def _cell(series: pd.Series[Any]) -> str:
    return f"frame[{series.name!r}]"


def _like(texts: list[str], pattern: str, also: str | None = None) -> list[str]:
    """Return the texts of a pattern, if nearly all are of it or of another one."""
    # Each different text is compared once.
    counts = Counter(texts)
    like = set(filter(re.compile(pattern).fullmatch, counts))
    fits = [text for text in texts if text in like]
    is_other = None if also is None else re.compile(also).fullmatch
    others = 0 if is_other is None else sum(n for text, n in counts.items() if text not in like and is_other(text))
    return fits if len(fits) + others >= _SHARE * len(texts) else []


def _numbers(texts: list[str], cell: str) -> tuple[str, str, str] | None:
    commas = _like(texts, _DECIMAL_COMMA, _PLAIN)
    thousands = _like(texts, _THOUSANDS, _PLAIN)
    if commas and thousands and len(commas) >= _SHARE * len(texts):
        how = f"pandas.to_numeric({cell}.str.replace(',', '')) or pandas.to_numeric({cell}.str.replace(',', '.'))"
        return "numbers with a comma between thousands, or with a decimal comma", thousands[0], how
    if thousands:
        return "numbers with commas between thousands", thousands[0], f"pandas.to_numeric({cell}.str.replace(',', ''))"
    if commas:
        return "numbers with a decimal comma", commas[0], f"pandas.to_numeric({cell}.str.replace(',', '.'))"
    points = _like(texts, _POINT_THOUSANDS, _PLAIN)
    if points:
        how = f"pandas.to_numeric({cell}.str.replace('.', '').str.replace(',', '.'))"
        return "numbers with points between thousands and a decimal comma", points[0], how
    for pattern, what in (
        (_MONEY, "amounts of money"),
        (_PERCENT, "percentages"),
        (_SPACES, "numbers with spaces between thousands"),
        (_UNIT, "numbers with a unit"),
    ):
        found = _like(texts, pattern, _PLAIN if pattern in (_MONEY, _SPACES) else None)
        units = {text.lstrip("+-0123456789,. ") for text in found}
        if found and (pattern != _UNIT or len(units) == 1):
            return what, found[0], _without_signs(found, cell)
    return None


def _without_signs(texts: list[str], cell: str) -> str:
    """Return how to convert numbers among other signs, by how the numbers themselves are written."""
    bare = f"{cell}.str.replace(r'[^\\d,.-]', '', regex=True)"
    numbers = _numbers([re.sub(r"[^\d,.-]", "", text) for text in texts], bare)
    return f"pandas.to_numeric({bare})" if numbers is None else numbers[2]


def _dates(texts: list[str], cell: str) -> tuple[str, str, str] | None:
    days = _like(texts, _DAY)
    if days:
        parts = [re.fullmatch(_DAY, text) for text in days]
        first = max(int(part[1]) for part in parts if part)
        second = max(int(part[3]) for part in parts if part)
        day_first, month_first = (f"pandas.to_datetime({cell}, dayfirst={value})" for value in (True, False))
        if first <= 12 and second <= 12:
            return "dates with the day or the month first", days[0], f"{day_first} or {month_first}"
        if first <= 31 and second <= 12:
            return "dates with the day first", days[0], day_first
        if first <= 12 and second <= 31:
            return "dates with the month first", days[0], month_first
    dates = _like(texts, _YEAR_FIRST) or _like(texts, _NAMED_MONTH)
    if dates:
        return "dates", dates[0], f"pandas.to_datetime({cell})"
    times = _like(texts, _TIME)
    if times:
        seconds = "" if all(text.count(":") == 2 for text in times) else " + ':00'"
        return "times or durations", times[0], f"pandas.to_timedelta({cell}{seconds})"
    return None
