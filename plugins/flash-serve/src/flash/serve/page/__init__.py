"""The page: one HTML file with its style and its script, which asks for nothing but its own service."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

__all__ = ["POLICY", "page"]


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def page() -> str:
    """Return the page.

    Example:
        >>> page().startswith("<!doctype html>")
        True
    """
    parts = {"/* style */": "style.css", "/* script */": "script.js"}
    html = _part("page.html")
    for mark, name in parts.items():
        html = html.replace(mark, _part(name))
    return html


def _hash(name: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(_part(name).encode()).digest()).decode()}'"


#: Headers of the page: only its own style and script, and requests to its own service.
POLICY = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            f"style-src {_hash('style.css')}",
            f"script-src {_hash('script.js')}",
            "img-src blob: data:",
            "media-src blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
