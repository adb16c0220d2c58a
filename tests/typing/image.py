"""Programs as users of flash-image write them: type checkers know what comes out."""

from typing import Any

from matplotlib.figure import Figure
from typing_extensions import assert_type

import flash
from flash.image import ImageClassificationData, ImageClassifier, ImageEmbedder, ObjectDetectionData, ObjectDetector


def classify() -> None:
    data = ImageClassificationData.from_folders("train", val_split=0.1, batch_size=8, augmentation="flip")
    assert_type(data, ImageClassificationData)
    task = ImageClassifier.from_data(data, backbone="resnet18")
    assert_type(task, ImageClassifier)
    flash.Trainer(max_epochs=1).finetune(task, data, strategy="freeze")
    assert_type(task.predict(["photo.jpg"]), list[Any])
    assert_type(ImageClassifier.load_from_checkpoint("task.ckpt"), ImageClassifier)
    assert_type(data.show_batch(), Figure)


def embed() -> None:
    assert_type(ImageEmbedder(backbone="resnet18").predict(["photo.jpg"]), list[Any])


def detect() -> None:
    data = ObjectDetectionData.from_coco(train_folder="train", train_ann_file="train.json")
    assert_type(data, ObjectDetectionData)
    assert_type(ObjectDetector.from_data(data), ObjectDetector)
