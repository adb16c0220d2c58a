"""Names for images in programs for Lightning Flash 0.x: see :mod:`flash.former`, whose functions take these tables."""

from __future__ import annotations

from collections.abc import Mapping

from flash.former import FORMER_NAMES, Moved, moved

__all__ = [
    "CLASSIFIER_ARGUMENTS",
    "DATA_ARGUMENTS",
    "DETECTION_DATA_ARGUMENTS",
    "DETECTOR_ARGUMENTS",
    "EMBEDDER_ARGUMENTS",
    "MODULES",
    "NAMES",
    "SEGMENTATION_DATA_ARGUMENTS",
    "SEGMENTER_ARGUMENTS",
]

_NO_TASK = (
    "There is no such task here. Write one, class MyTask(flash.Task): def forward(self, x): ..., or as a plugin that "
    "others can install: flash plugin new my-plugin."
)
_PREPROCESS = (
    "Write hooks of a preprocess: class MyPreprocess(flash.image.ImagePreprocess): def train_to_tensor_transform(self, "
    "sample): ..., and pass preprocess=MyPreprocess() to the data module."
)
_SIZE = "The network resizes: write ObjectDetector(image_size=512)."
_SEGMENTATION = "Write from flash.image import SemanticSegmentation, SemanticSegmentationData."
_CLASSIFIER = "Write from flash.image import ImageClassificationData, ImageClassifier."
_ACTIVE = "Choose rows to label by task.predict(inputs, output='probabilities'), then fit again."

NAMES: Mapping[str, Moved | str] = {
    **FORMER_NAMES,
    **moved("flash.image", "ImageClassificationData", "ImageClassifier", "ImageEmbedder"),
    **moved("flash.image", "ObjectDetectionData", "ObjectDetector"),
    **moved("flash.image", "InstanceSegmentation", "InstanceSegmentationData"),
    **moved("flash.image", "KeypointDetectionData", "KeypointDetector"),
    **moved("flash.image", "SemanticSegmentation", "SemanticSegmentationData"),
    "SemanticSegmentationInputTransform": _PREPROCESS,
    "SemanticSegmentationOutputTransform": "Write task.predict(inputs, output='labels').",
    "ActiveLearningDataModule": _ACTIVE,
    "ActiveLearningLoop": _ACTIVE,
    "ImageClassificationInputTransform": _PREPROCESS,
    "ImageClassificationPreprocess": _PREPROCESS,
    **dict.fromkeys(
        ("FaceDetectionData", "FaceDetector", "StyleTransfer", "StyleTransferData"),
        _NO_TASK,
    ),
}

MODULES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            f"flash.image.classification{each}"
            for each in (
                *("", ".adapters", ".backbones", ".cli", ".data", ".heads", ".input", ".input_transform", ".model"),
                *(".output", ".transforms"),
            )
        ),
        _CLASSIFIER,
    ),
    "flash.image.classification.integrations": _ACTIVE,
    "flash.image.classification.integrations.baal": _ACTIVE,
    "flash.image.classification.integrations.baal.data": _ACTIVE,
    "flash.image.classification.integrations.baal.loop": _ACTIVE,
    "flash.image.classification.integrations.learn2learn": _CLASSIFIER,
    **dict.fromkeys(
        (f"flash.image.embedding{each}" for each in ("", ".heads", ".losses", ".model", ".strategies", ".transforms")),
        "Write from flash.image import ImageEmbedder.",
    ),
    **dict.fromkeys(
        (
            f"flash.image.segmentation.{each}"
            for each in (
                *(
                    "backbones",
                    "cli",
                    "input",
                    "input_transform",
                    "model",
                    "output",
                    "output_transform",
                    "serialization",
                ),
                *("transforms", "viz"),
            )
        ),
        _SEGMENTATION,
    ),
}

DATA_ARGUMENTS: Mapping[str, str] = {
    "transform_kwargs": "Write its entries as arguments: image_size=..., data_config={'mean': ..., 'std': ...}.",
}

CLASSIFIER_ARGUMENTS: Mapping[str, str] = {
    "training_strategy": "Leave it out: write ImageClassifier(backbone='resnet18'), which minimizes cross entropy.",
    "training_strategy_kwargs": "Leave it out, with training_strategy.",
}

EMBEDDER_ARGUMENTS: Mapping[str, str] = {
    "head": "Write embedding_dim=128, which adds a linear layer.",
    "pretraining_transform": "Write augmentation='randaugment' in from_folders or any other constructor of data.",
    "pretraining_transform_kwargs": "Leave it out, with pretraining_transform.",
    "training_strategy": "Write loss_fn='supcon', which learns from classes; nothing here learns from images alone.",
    "training_strategy_kwargs": "Write embedding_dim=128 for the size of the vectors.",
}

DETECTOR_ARGUMENTS: Mapping[str, str] = {
    "head": "The backbone names the whole detector: backbone='retinanet_resnet50_fpn'.",
    "predict_kwargs": "Write score_threshold=0.5.",
}

DETECTION_DATA_ARGUMENTS: Mapping[str, str] = {
    "image_size": _SIZE,
    "transform_kwargs": _SIZE,
    "train_transform": "Write augmentation=..., a transform of torchvision.transforms.v2 for images with boxes.",
    "transform": "Write augmentation=..., a transform of torchvision.transforms.v2 for images with boxes.",
}

SEGMENTER_ARGUMENTS: Mapping[str, str] = {
    "head_kwargs": "Pass a function as the head: head=lambda channels, classes: ...",
    "output_transform": "Write task.predict(inputs, output='labels').",
}

SEGMENTATION_DATA_ARGUMENTS: Mapping[str, str] = {
    "transform_kwargs": "Write its entries as arguments: image_size=..., data_config={'mean': ..., 'std': ...}.",
}
