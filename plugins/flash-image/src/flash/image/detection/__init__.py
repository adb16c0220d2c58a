"""Object detection: the boxes and classes of the objects in an image, on torchvision's detectors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import ObjectDetectionData as ObjectDetectionData
    from .detector import ObjectDetector as ObjectDetector
    from .preprocess import ObjectDetectionPreprocess as ObjectDetectionPreprocess

_EXPORTS = {
    "ObjectDetectionData": ".data",
    "ObjectDetectionPreprocess": ".preprocess",
    "ObjectDetector": ".detector",
}

__all__ = ["ObjectDetectionData", "ObjectDetectionPreprocess", "ObjectDetector"]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_EXPORTS[name], __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
