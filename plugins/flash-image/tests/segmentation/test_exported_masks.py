"""Masks by numpy alone: the inputs, the scores and the results of an exported segmenter are those of the task."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flash.core.export import portable_of
from flash.errors import DataError
from flash.image import SemanticSegmentation
from flash.image.encoder import encode_samples, results, run
from flash.image.segmentation.preprocess import SemanticSegmentationPreprocess

LABELS = ["ground", "circle", "square"]
SIZES = ((48, 48), (100, 70), (130, 40))
# In torch and in numpy the scores are interpolated with other roundings.
CLOSE = 1e-4


@pytest.fixture(params=[("squash", "fpn"), ("pad", "fpn"), ("tiles", "linear"), ("tiles", "fpn")], ids="-".join)
def task(request: pytest.FixtureRequest, tiny: dict[str, Any]) -> SemanticSegmentation:
    way, head = request.param
    torch.manual_seed(0)
    preprocess = SemanticSegmentationPreprocess(resize=way)
    return SemanticSegmentation(labels=LABELS, preprocess=preprocess, head=head, **tiny).eval()


def predicted(task: SemanticSegmentation, images: list[Any], output: str) -> list[Any]:
    """Return what the encoder of an exported folder makes of the files of images."""
    parts = task.exported_parts(portable_of(task).inputs or {})
    network = parts["model"].module

    def model(inputs: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            (found,) = network(torch.from_numpy(inputs["image"]))
        return {"logits": found.numpy()}

    found = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        inputs = encode_samples([file.getvalue()], portable_of(task).settings, None)
        result = {**task.exported_result(), "output": output}
        found += results(run({"model": model}, inputs, result), result)
    return found


def test_masks_and_scores_are_those_of_the_task(task: SemanticSegmentation, draw: Callable[..., Any]) -> None:
    images = draw(3, sizes=SIZES).images
    for mask, expected in zip(predicted(task, images, "labels"), task.predict(images), strict=True):
        assert mask.dtype == np.uint8
        assert mask.shape == np.shape(expected)
        # A pixel whose two best scores are the same may have either.
        assert (mask == expected).mean() > 0.999
    for output in ("probabilities", "logits"):
        for scores, expected in zip(predicted(task, images, output), task.predict(images, output=output), strict=True):
            np.testing.assert_allclose(scores, expected, rtol=CLOSE, atol=CLOSE)
    for output in ("areas", "classes"):
        for areas, expected in zip(predicted(task, images, output), task.predict(images, output=output), strict=True):
            assert list(areas) == list(expected)
    with pytest.raises(DataError, match="Expected output to be labels, classes, areas, probabilities, logits or raw"):
        predicted(task, images[:1], "vectors")
