"""Programs for Lightning Flash 0.x find the names of texts, or are told what to write."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from flash.errors import FormerMemberError, FormerNameError
from flash.text import QuestionAnsweringTask, TextClassificationData, TextClassifier, TextEmbedder, TranslationData
from flash.text.seq2seq.metrics import Bleu, Rouge


def test_classes_are_found_in_their_former_modules() -> None:
    from flash.text.classification.model import TextClassifier as FormerClassifier  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from flash.text.embedding import TextEmbedder as FormerEmbedder  # type: ignore[attr-defined]

    assert FormerClassifier is TextClassifier
    assert FormerEmbedder is TextEmbedder


def test_question_answering_is_found_in_its_former_modules() -> None:
    for module in ("flash.text.question_answering", "flash.text.question_answering.model"):
        found: dict[str, object] = {}
        exec(f"from {module} import QuestionAnsweringTask", found)
        assert found["QuestionAnsweringTask"] is QuestionAnsweringTask


def test_a_name_that_is_not_here_says_what_to_write() -> None:
    with pytest.raises(FormerNameError, match=r"Write from flash.text import SummarizationTask, or TranslationTask"):
        exec("from flash.text import Seq2SeqTask", {})
    with pytest.raises(FormerNameError, match="from flash.text import QuestionAnsweringData, QuestionAnsweringTask"):
        exec("from flash.text.question_answering import QuestionAnsweringInput", {})


def test_the_library_datasets_has_a_constructor_of_another_name() -> None:
    with pytest.raises(FormerMemberError, match="TranslationData, but got from_hf_datasets.*Write from_datasets"):
        TranslationData.from_hf_datasets("a", "b", train_hf_dataset=[])  # type: ignore[attr-defined]


def test_target_field_is_another_name_of_target_fields() -> None:
    rows = [{"x": "a", "y": "p"}, {"x": "b", "y": "q"}]
    data = TextClassificationData.from_datasets("x", target_field="y", train_dataset=rows)
    assert data.labels == ["p", "q"]


def test_metrics_of_texts_take_the_arguments_that_the_tasks_took() -> None:
    bleu = Bleu(n_gram=1, smooth=True)
    bleu.update(["the cat sat"], ["the cat slept"])
    assert float(bleu.compute()) == pytest.approx(2 / 3, abs=0.1)
    assert Rouge("rouge1").stemmer is None
    if find_spec("nltk") is None:
        with pytest.raises(ModuleNotFoundError, match="nltk"):
            Rouge("rouge1", use_stemmer=True)
