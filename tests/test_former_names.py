"""Names of Lightning Flash 0.x for a domain are found, or are told what to write."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flash.audio import AudioClassificationData
from flash.audio import _former as audio
from flash.errors import FormerNameError, UnknownArgumentError
from flash.former import FORMER_NAMES, Moved
from flash.image import (
    ImageClassificationData,
    ImageClassifier,
    ImageEmbedder,
    ObjectDetectionData,
    ObjectDetector,
    SemanticSegmentation,
    SemanticSegmentationData,
)
from flash.image import _former as image
from flash.tabular import TabularClassificationData, TabularClassifier, TabularRegressor
from flash.tabular import _former as tabular
from flash.text import SummarizationTask, TextClassifier, TranslationTask
from flash.text import _former as text

DOMAINS = {"flash.image": image, "flash.text": text, "flash.tabular": tabular, "flash.audio": audio}
NAMES = [(domain, name) for domain, tables in DOMAINS.items() for name in tables.NAMES if name not in FORMER_NAMES]
MODULES = [(module, sentence) for tables in DOMAINS.values() for module, sentence in tables.MODULES.items()]
ARGUMENTS: list[tuple[Callable[..., Any], Mapping[str, str]]] = [
    (AudioClassificationData.from_folders, audio.DATA_ARGUMENTS),
    (ImageClassifier, image.CLASSIFIER_ARGUMENTS),
    (ImageEmbedder, image.EMBEDDER_ARGUMENTS),
    (ObjectDetector, image.DETECTOR_ARGUMENTS),
    (ImageClassificationData.from_folders, image.DATA_ARGUMENTS),
    (ObjectDetectionData.from_coco, image.DETECTION_DATA_ARGUMENTS),
    (SemanticSegmentation, image.SEGMENTER_ARGUMENTS),
    (SemanticSegmentationData.from_folders, image.SEGMENTATION_DATA_ARGUMENTS),
    (TextClassifier, text.ARGUMENTS),
    (SummarizationTask, text.SUMMARIZATION_ARGUMENTS),
    (TranslationTask, text.TRANSLATION_ARGUMENTS),
    (TabularClassifier, tabular.TASK_ARGUMENTS),
    (TabularRegressor, tabular.TASK_ARGUMENTS),
    (TabularClassificationData.from_csv, tabular.DATA_ARGUMENTS),
]


def import_name(module: str, name: str) -> Any:
    """What ``from module import name`` makes of the name."""
    found: dict[str, Any] = {}
    exec(f"from {module} import {name}", found)
    return found[name]


@pytest.mark.parametrize(("domain", "name"), NAMES)
def test_a_name_is_found_or_says_what_to_write(domain: str, name: str) -> None:
    now = DOMAINS[domain].NAMES[name]
    for module in (domain, f"{domain}.classification"):
        if isinstance(now, Moved):
            assert import_name(module, name) is getattr(importlib.import_module(domain), name)
            continue
        with pytest.raises(FormerNameError) as caught:
            import_name(module, name)
        assert now in str(caught.value)


@pytest.mark.parametrize(("module", "sentence"), MODULES)
def test_a_module_finds_its_names_or_says_what_to_write(module: str, sentence: str) -> None:
    with pytest.raises(FormerNameError) as caught:
        import_name(module, "SomethingElse")
    assert sentence in str(caught.value)
    with pytest.raises(FormerNameError) as caught:
        import_name(module, "DataKeys")
    assert str(FORMER_NAMES["DataKeys"]) in str(caught.value)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_name_that_never_was_is_missing_as_usual(domain: str) -> None:
    with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
        import_name(domain, "Nonsense")


@pytest.mark.parametrize(
    ("call", "argument", "sentence"),
    [(call, argument, sentence) for call, arguments in ARGUMENTS for argument, sentence in arguments.items()],
)
def test_an_argument_says_what_to_write(call: Callable[..., Any], argument: str, sentence: str) -> None:
    with pytest.raises(UnknownArgumentError) as caught:
        call(**{argument: 1})
    assert sentence in str(caught.value)
