"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import DataSource, hookimpl


@hookimpl
def flash_data_sources() -> Iterator[DataSource]:
    """Yield the exports of Label Studio, and datasets of FiftyOne, as sources of the data modules that they are for."""
    for task, factory, summary in (
        ("image/classification", "images", "Choices of images in an export of Label Studio."),
        ("image/detection", "boxes", "Rectangles in an export of Label Studio."),
        ("image/semantic_segmentation", "masks", "Brush strokes and polygons in an export of Label Studio."),
        ("audio/classification", "recordings", "Choices of recordings in an export of Label Studio."),
        ("text/classification", "texts", "Choices of texts in an export of Label Studio."),
        ("text/token_classification", "entities", "Labeled spans of texts in an export of Label Studio."),
    ):
        yield DataSource("label_studio", data=task, factory=f"flash.labels.sources:{factory}", summary=summary)
    for task, factory, summary in (
        ("image/classification", "images", "Classifications of images in a dataset of FiftyOne."),
        ("image/detection", "boxes", "Detections in a dataset of FiftyOne."),
        ("image/semantic_segmentation", "masks", "Segmentations in a dataset of FiftyOne."),
        ("image/instance_segmentation", "instances", "Detections with masks in a dataset of FiftyOne."),
        ("image/keypoints", "keypoints", "Keypoints in a dataset of FiftyOne."),
    ):
        yield DataSource("fiftyone", data=task, factory=f"flash.labels.fiftyone:{factory}", summary=summary)
