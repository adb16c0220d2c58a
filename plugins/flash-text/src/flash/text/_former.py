"""Names for texts in programs for Lightning Flash 0.x: see :mod:`flash.former`, whose functions take these tables."""

from __future__ import annotations

from collections.abc import Mapping

from flash.former import FORMER_NAMES, Moved, moved

__all__ = ["ARGUMENTS", "DATA_MEMBERS", "MODULES", "NAMES", "SUMMARIZATION_ARGUMENTS", "TRANSLATION_ARGUMENTS"]

_ANSWERS = "Write from flash.text import QuestionAnsweringData, QuestionAnsweringTask."
_CLASSIFIER = "Write from flash.text import TextClassificationData, TextClassifier."
_ROUGE = "Write from flash.text.seq2seq.metrics import Rouge, and metrics=Rouge('rouge1', use_stemmer=True)."
_BLEU = "Write from flash.text.seq2seq.metrics import Bleu, and metrics=Bleu(n_gram=4, smooth=True)."
_ORT = "Leave it out: it was for a runtime of training that is no longer made."

NAMES: Mapping[str, Moved | str] = {
    **FORMER_NAMES,
    **moved("flash.text", "TextClassificationData", "TextClassifier", "TextEmbedder"),
    **moved("flash.text", "QuestionAnsweringData", "QuestionAnsweringTask"),
    "Seq2SeqData": "Write from flash.text import SummarizationData, or TranslationData.",
    "Seq2SeqTask": "Write from flash.text import SummarizationTask, or TranslationTask.",
}

MODULES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            f"flash.text.classification{each}"
            for each in ("", ".adapters", ".backbones", ".cli", ".data", ".input", ".model", ".tokenizers")
        ),
        _CLASSIFIER,
    ),
    "flash.text.embedding": "Write from flash.text import TextEmbedder.",
    "flash.text.embedding.model": "Write from flash.text import TextEmbedder.",
    "flash.text.question_answering": _ANSWERS,
    "flash.text.question_answering.data": _ANSWERS,
    "flash.text.question_answering.model": _ANSWERS,
}

DATA_MEMBERS: Mapping[str, str] = {
    "from_hf_datasets()": "Write from_datasets('text', 'label', train_dataset=dataset).",
}

ARGUMENTS: Mapping[str, str] = {"enable_ort": _ORT}
SUMMARIZATION_ARGUMENTS: Mapping[str, str] = {"enable_ort": _ORT, "rouge_newline_sep": _ROUGE, "use_stemmer": _ROUGE}
TRANSLATION_ARGUMENTS: Mapping[str, str] = {"enable_ort": _ORT, "n_gram": _BLEU, "smooth": _BLEU}
