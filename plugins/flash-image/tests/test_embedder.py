"""ImageEmbedder: vectors, and how they are finetuned."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from flash.errors import ConfigurationError
from flash.image import ImageClassificationData, ImageEmbedder
from flash.image.losses import contrastive_losses, make_loss


@pytest.fixture
def embedder(tiny: dict[str, Any]) -> ImageEmbedder:
    """An embedder that has seen no data."""
    return ImageEmbedder(**tiny)


class TestVectors:
    def test_there_is_one_an_image_of_length_one(self, embedder: ImageEmbedder, folders: Any) -> None:
        vectors = embedder.predict(folders / "new")
        assert [vector.shape for vector in vectors] == [(96,)] * 3
        assert torch.allclose(torch.stack(vectors).norm(dim=1), torch.ones(3), atol=1e-5)

    def test_without_normalizing_they_are_the_backbones_features(self, tiny: Any, embedder: ImageEmbedder) -> None:
        plain = ImageEmbedder(**tiny, normalize=False)
        plain.load_state_dict(embedder.state_dict())
        images = torch.randn(4, 3, 32, 32)
        features = plain.eval().backbone(images)
        assert torch.equal(plain(images), features)
        assert torch.allclose(embedder.eval()(images), nn.functional.normalize(features))

    def test_their_length_can_be_chosen(self, tiny: dict[str, Any]) -> None:
        assert ImageEmbedder(embedding_dim=8, **tiny).predict(torch.rand(2, 3, 40, 40))[0].shape == (8,)

    def test_one_by_one_and_in_batches_they_are_equal(self, embedder: ImageEmbedder, draw: Any) -> None:
        pictures = [draw("square", seed) for seed in range(5)]
        together = torch.stack(embedder.predict(pictures, batch_size=2))
        alone = torch.cat([torch.stack(embedder.predict([picture])) for picture in pictures])
        assert torch.allclose(together, alone, atol=1e-5)

    def test_they_are_floats_on_the_cpu_whatever_the_network_computes_in(self, embedder: ImageEmbedder) -> None:
        (vector,) = embedder.present(torch.ones(1, 4, dtype=torch.bfloat16))
        assert (vector.dtype, vector.device.type) == (torch.float32, "cpu")

    def test_the_outputs_are_vectors_and_raw(self) -> None:
        assert ImageEmbedder.available_outputs() == ["raw", "vectors"]

    def test_the_losses_are_contrastive_and_no_metric_of_classes_fits(self) -> None:
        assert ImageEmbedder.available_losses() == ["multi_similarity", "supcon", "triplet"]
        assert ImageEmbedder.available_metrics() == []


class TestFinetuning:
    @pytest.mark.parametrize("loss", contrastive_losses.list())
    def test_every_loss_trains_the_backbone(self, shapes: Any, tiny: Any, trainer: Any, loss: str) -> None:
        data = shapes()
        task = ImageEmbedder.from_data(data, loss_fn=loss, **tiny)
        before = [weight.clone() for weight in task.backbone.parameters()]
        run = trainer()
        run.finetune(task, data, strategy="no_freeze")
        assert any(not torch.equal(*pair) for pair in zip(before, task.backbone.parameters(), strict=True))
        assert {"train_loss", "val_loss", "val_neighbor_accuracy"} <= set(run.callback_metrics)

    def test_a_callable_is_a_loss(self, shapes: Any, tiny: Any, trainer: Any) -> None:
        seen = []

        def loss(vectors: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            seen.append((tuple(vectors.shape), targets.dtype))
            return vectors.square().sum()

        trainer(limit_train_batches=1, limit_val_batches=0).fit(ImageEmbedder(**tiny, loss_fn=loss), shapes())
        assert seen == [((20, 96), torch.int64)]

    def test_a_finetuned_embedder_is_loaded_and_gives_the_same_vectors(
        self, shapes: Any, tiny: Any, trainer: Any, folders: Any
    ) -> None:
        task = ImageEmbedder(embedding_dim=8, **tiny)
        run = trainer()
        run.fit(task, shapes())
        run.save_checkpoint("task.ckpt")
        loaded = ImageEmbedder.load_from_checkpoint("task.ckpt")
        assert torch.equal(torch.stack(loaded.predict("new")), torch.stack(task.predict("new")))

    def test_a_frozen_backbone_leaves_nothing_to_train_without_a_layer(
        self, shapes: Any, embedder: ImageEmbedder, trainer: Any
    ) -> None:
        with pytest.raises(ConfigurationError, match="Expected weights to train, but this ImageEmbedder .*no_freeze"):
            trainer().finetune(embedder, shapes(), strategy="freeze")

    def test_several_classes_per_image_are_an_error(self, draw: Any, embedder: ImageEmbedder, trainer: Any) -> None:
        data = ImageClassificationData.from_images(
            [draw("square", i) for i in range(4)], [["a"], ["b"], ["a", "b"], []]
        )
        with pytest.raises(ConfigurationError, match="Expected one class per image to finetune an ImageEmbedder"):
            trainer().fit(embedder, data)

    def test_an_unknown_loss_is_an_error_at_once(self, tiny: dict[str, Any]) -> None:
        with pytest.raises(KeyError, match="'supcom' is not among the contrastive losses. Did you mean 'supcon'"):
            ImageEmbedder(**tiny, loss_fn="supcom")

    def test_without_its_library_a_loss_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
        monkeypatch.delitem(sys.modules, "pytorch_metric_learning.losses", raising=False)
        with pytest.raises(ConfigurationError, match="pip install 'flash-image.contrastive.'"):
            make_loss("supcon")

    def test_without_its_library_an_embedder_predicts(
        self, embedder: ImageEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
        assert len(embedder.predict(torch.rand(2, 3, 40, 40))) == 2
