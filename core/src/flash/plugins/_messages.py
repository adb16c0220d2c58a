"""Sanitize texts from plugins for messages: on one line, of bounded length, without control characters."""

from __future__ import annotations

import inspect
import re
import traceback
import unicodedata
import warnings

from flash.errors import PluginWarning

__all__ = ["clean", "clean_traceback", "one_line", "sentence", "show", "warn_user"]

_LIMIT = 300
# CSI sequences such as colors and cursor moves, OSC sequences such as titles and links, and other escapes.
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")
# Control characters, surrogates, and the marks that change the direction of text.
_UNSHOWN = {"Cc", "Cs", "Cf"}


def clean(text: object, limit: int = _LIMIT) -> str:
    r"""Return a text on one line, without control characters and escape sequences, truncated to a length.

    Args:
        text: Any object; its conversion to a string may raise any exception.
        limit: Maximum number of characters.

    Example:
        >>> clean("\x1b[31mred\x1b[0m\n  alert\x07")
        'red alert'
    """
    shown = " ".join(_without_control(_as_string(text)).split())
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def clean_traceback(error: BaseException) -> str:
    """Return a traceback as Python prints it, without control characters but for its line ends."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "".join(f"{_without_control(line)}\n" for line in lines)


def one_line(error: BaseException) -> str:
    """Return an exception as one line of bounded length."""
    text = clean(error)
    name = clean(type(error).__name__)
    return f"{name}: {text}" if text else name


def show(value: object) -> str:
    """Return the representation of an object on one line of bounded length."""
    try:
        text = repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = f"a {type(value).__name__} that cannot be shown"
    return clean(text, 120)


def sentence(text: str) -> str:
    """Return a text that ends with a punctuation mark."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _as_string(text: object) -> str:
    try:
        return str(text)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"(a {type(text).__name__} that cannot be shown)"


def _without_control(text: str) -> str:
    # Truncated before it is processed: a plugin may return gigabytes.
    text = _ESCAPES.sub("", text[:10_000])
    return "".join(" " if each.isspace() else each for each in text if each.isspace() or _is_shown(each))


def _is_shown(character: str) -> bool:
    return (character.isascii() and character.isprintable()) or unicodedata.category(character) not in _UNSHOWN


def warn_user(problem: str) -> None:
    """Issue a :class:`~flash.errors.PluginWarning` at the line of the program that called Flash.

    The place inside Flash where a problem is found, such as a look-up of a name, says nothing to a user.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith("flash."):
        frame, level = frame.f_back, level + 1
    warnings.warn(problem, PluginWarning, stacklevel=level)
