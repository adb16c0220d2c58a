"""Text: classification, regression, embedding, entities, answers, summarization and translation, on transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash.former import former_names
from flash.plugins import lazy_exports

from ._former import NAMES

if TYPE_CHECKING:
    from .answering.data import QuestionAnsweringData as QuestionAnsweringData
    from .answering.task import QuestionAnsweringTask as QuestionAnsweringTask
    from .classifier import TextClassifier as TextClassifier
    from .data import TextClassificationData as TextClassificationData
    from .data import TextRegressionData as TextRegressionData
    from .embedder import TextEmbedder as TextEmbedder
    from .preprocess import TextPreprocess as TextPreprocess
    from .preprocess import TextRegressionPreprocess as TextRegressionPreprocess
    from .regressor import TextRegressor as TextRegressor
    from .seq2seq.data import SummarizationData as SummarizationData
    from .seq2seq.data import TranslationData as TranslationData
    from .seq2seq.tasks import SummarizationTask as SummarizationTask
    from .seq2seq.tasks import TranslationTask as TranslationTask
    from .token_classification.classifier import TokenClassifier as TokenClassifier
    from .token_classification.data import TokenClassificationData as TokenClassificationData

__version__ = "0.1.0"

_EXPORTS = {
    "QuestionAnsweringData": ".answering.data",
    "QuestionAnsweringTask": ".answering.task",
    "SummarizationData": ".seq2seq.data",
    "SummarizationTask": ".seq2seq.tasks",
    "TextClassificationData": ".data",
    "TextClassifier": ".classifier",
    "TextEmbedder": ".embedder",
    "TextPreprocess": ".preprocess",
    "TextRegressionData": ".data",
    "TextRegressionPreprocess": ".preprocess",
    "TextRegressor": ".regressor",
    "TokenClassificationData": ".token_classification.data",
    "TokenClassifier": ".token_classification.classifier",
    "TranslationData": ".seq2seq.data",
    "TranslationTask": ".seq2seq.tasks",
}

__all__ = [
    "QuestionAnsweringData",
    "QuestionAnsweringTask",
    "SummarizationData",
    "SummarizationTask",
    "TextClassificationData",
    "TextClassifier",
    "TextEmbedder",
    "TextPreprocess",
    "TextRegressionData",
    "TextRegressionPreprocess",
    "TextRegressor",
    "TokenClassificationData",
    "TokenClassifier",
    "TranslationData",
    "TranslationTask",
]


# Hidden from type checkers, which would otherwise accept any misspelled name.
if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _EXPORTS, former_names(__name__, NAMES))
