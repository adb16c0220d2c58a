"""Features in place of the inputs of a batch."""

from __future__ import annotations

import torch

from flash.data.features import Features


def test_all_tensors_go_to_a_device_and_their_nesting_stays() -> None:
    features = Features({"vector": torch.zeros(2, 3), "tokens": (torch.ones(2, 5),)})
    moved = features.to("meta")
    assert isinstance(moved, Features)
    assert moved.values["vector"].device.type == "meta"
    assert moved.values["tokens"][0].shape == (2, 5)
    assert features.values["vector"].device.type == "cpu"
