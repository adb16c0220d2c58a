"""Images: classification, embedding and object detection, on timm and torchvision."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import ImageClassificationData as ImageClassificationData
    from .preprocess import ImagePreprocess as ImagePreprocess
    from .read import BadImageError as BadImageError
    from .read import open_image as open_image
    from .transforms import augmentations as augmentations

__version__ = "0.1.0"

_EXPORTS = {
    "BadImageError": ".read",
    "ImageClassificationData": ".data",
    "ImagePreprocess": ".preprocess",
    "augmentations": ".transforms",
    "open_image": ".read",
}

__all__ = ["BadImageError", "ImageClassificationData", "ImagePreprocess", "augmentations", "open_image"]


# A type checker that saw this would take any misspelt name for one of them.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_EXPORTS[name], __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
