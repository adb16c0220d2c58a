"""Names for audio in programs for Lightning Flash 0.x: see :mod:`flash.former`, whose functions take these tables."""

from __future__ import annotations

from collections.abc import Mapping

from flash.former import FORMER_NAMES, Moved, moved

__all__ = ["DATA_ARGUMENTS", "MODULES", "NAMES"]

_PREPROCESS = (
    "Write hooks of a preprocess: class MyPreprocess(flash.audio.AudioPreprocess): def train_post_tensor_transform("
    "self, sample): ..., and pass preprocess=MyPreprocess() to the data module."
)
_SPEECH = (
    "Speech is not recognized here. Write a task, class MyTask(flash.Task): def forward(self, x): ..., or as a plugin "
    "that others can install: flash plugin new my-plugin."
)
_CLASSIFIER = "Write from flash.audio import AudioClassificationData, AudioClassifier."

NAMES: Mapping[str, Moved | str] = {
    **FORMER_NAMES,
    **moved("flash.audio", "AudioClassificationData"),
    "AudioClassificationInputTransform": _PREPROCESS,
    "AudioClassificationPreprocess": _PREPROCESS,
    "SpeechRecognition": _SPEECH,
    "SpeechRecognitionData": _SPEECH,
}

MODULES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            f"flash.audio.classification{each}"
            for each in ("", ".cli", ".data", ".input", ".input_transform", ".transforms")
        ),
        _CLASSIFIER,
    ),
    **dict.fromkeys(
        (
            f"flash.audio.speech_recognition{each}"
            for each in ("", ".backbone", ".cli", ".collate", ".data", ".input", ".model", ".output_transform")
        ),
        _SPEECH,
    ),
}

DATA_ARGUMENTS: Mapping[str, str] = {
    "spectrogram_size": "Leave it out: spectrograms are made from recordings. Write duration=5.0 for their length.",
    "time_mask_param": "Write augmentation='specaugment'.",
    "freq_mask_param": "Write augmentation='specaugment'.",
}
