"""Backbones of recordings: the small network, networks for images, and models of transformers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flash import Registry
from flash.audio import AudioClassifier, AudioPreprocess, AudioSpec
from flash.audio.backbones import AudioCNN, MaskedNorm, audio_features
from flash.audio.images import SpectrogramImage, image_backbone
from flash.audio.transformer import WaveformTransformer
from flash.download.pretrained import HubError
from flash.errors import ConfigurationError, UnknownNameError

pytestmark = pytest.mark.filterwarnings("ignore:Expected this AudioClassifier to be trained")

RATE = 16000


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


# ---------------------------------------------------------------------- the small network


def test_a_masked_norm_is_batch_normalization_of_what_is_no_padding() -> None:
    torch.manual_seed(0)
    maps, lengths = torch.randn(3, 2, 4, 10), torch.tensor([10, 4, 1])
    mask = torch.arange(10) < lengths[:, None]
    norm, plain = MaskedNorm(2), nn.BatchNorm1d(2)
    rows = torch.cat([maps[row, :, :, :length].flatten(1).T for row, length in enumerate(lengths.tolist())])
    expected, found = plain(rows), norm(maps, mask)
    rows = torch.cat([found[row, :, :, :length].flatten(1).T for row, length in enumerate(lengths.tolist())])
    torch.testing.assert_close(rows, expected)
    assert not (found * ~mask[:, None, None, :]).any()
    torch.testing.assert_close(norm.running_var, plain.running_var)
    norm.eval()
    assert not (norm(maps, mask) * ~mask[:, None, None, :]).any()


def test_the_layers_are_all_of_the_network_in_order() -> None:
    network = AudioCNN(4, 16, 8)
    counted = sum(weight.numel() for layer in network.layers() for weight in layer.parameters())
    assert counted == sum(weight.numel() for weight in network.parameters())
    assert network.layers()[-1] is network.project


def test_arguments_of_the_network_are_checked_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"'audio_cnn' takes.*Did you mean 'width'\?"):
        AudioClassifier(num_classes=2, backbone_kwargs={"widht": 8})


def test_a_module_is_a_backbone_that_need_not_know_of_padding() -> None:
    network = nn.Sequential(nn.Conv2d(1, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    task = AudioClassifier(num_classes=2, backbone=network, preprocess=AudioPreprocess(duration=0.1, sample_rate=RATE))
    assert len(task.predict([noise(1600)])) == 1
    with pytest.raises(ConfigurationError, match="Give it an attribute input_spec"):
        audio_features(nn.Sequential(nn.Linear(7, 2)), AudioSpec())


# ---------------------------------------------------------------------- networks for images


class Pixels(nn.Module):
    """A network for images that remembers what it saw."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.seen: Any = None

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return self.conv(images).mean((2, 3))


def test_a_network_for_images_sees_alike_channels_of_its_size() -> None:
    network = Pixels()
    backbone = SpectrogramImage(network, 3, (32, 48))
    assert backbone.out_features == 4
    assert backbone(torch.randn(2, 1, 128, 100)).shape == (2, 4)
    assert network.seen.shape == (2, 3, 32, 48)
    assert torch.equal(network.seen[:, 0], network.seen[:, 2])
    assert backbone.layers() == [network.conv]


def test_a_registered_network_for_images_is_a_backbone_of_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("image backbones")
    registry.register("pixels_of_a_test", lambda pretrained=True: Pixels(3))
    registry.register("gray_of_a_test", lambda in_chans=3: Pixels(in_chans))
    monkeypatch.setattr("flash.audio.images._IMAGES", registry)
    assert image_backbone("pixels_of_a_test", pretrained=False).channels == 3
    assert image_backbone("gray_of_a_test").channels == 1
    with pytest.raises(UnknownNameError, match="pixels_of_a_tast"):
        image_backbone("pixels_of_a_tast")


def test_networks_of_timm_hear(trainer: Any, tones: Any) -> None:
    pytest.importorskip("flash.image")
    data = tones(train=8, val=4, batch_size=4)
    task = AudioClassifier.from_data(data, backbone="test_resnet", pretrained=False)
    run = trainer(max_epochs=1)
    run.finetune(task, data, strategy="freeze")
    assert len(task.predict([noise(6400)], output="probabilities")[0]) == 4
    assert len(task.backbone_layers()) > 2
    fixed = AudioClassifier(num_classes=2, backbone="test_vit", pretrained=False)
    assert isinstance(fixed.backbone, SpectrogramImage)
    assert fixed.backbone.size is not None


# ---------------------------------------------------------------------- models of transformers


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with a tiny wav2vec 2.0 of random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
    )
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "tiny")
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    extractor.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_a_model_of_transformers_gives_what_it_gives_without_flash(tiny: Path) -> None:
    transformers = pytest.importorskip("transformers")
    preprocess = AudioPreprocess(duration=0.1, sample_rate=RATE)
    task = AudioClassifier(num_classes=2, backbone=str(tiny), preprocess=preprocess).eval()
    assert task.input_spec == AudioSpec(RATE, mel=None)
    model = transformers.AutoModel.from_pretrained(tiny).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tiny)
    sound = noise(1600)
    inputs = extractor(sound, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).last_hidden_state.mean(1)
        logits = task.head(expected)[0]
    np.testing.assert_allclose(task.predict([sound], output="logits")[0], logits, atol=1e-3)


def test_padding_does_not_count_in_a_model_with_a_mask(tiny: Path) -> None:
    tasks = [
        AudioClassifier(num_classes=2, backbone=str(tiny), preprocess=AudioPreprocess(duration=each, sample_rate=RATE))
        for each in (0.1, 0.4)
    ]
    tasks[1].load_state_dict(tasks[0].state_dict())
    one, other = (task.predict([noise(1600)], output="logits") for task in tasks)
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert len(tasks[0].predict([noise(3)])) == 1


def test_a_checkpoint_loads_without_the_folder_of_the_model(tiny: Path, tones: Any, trainer: Any) -> None:
    import shutil

    data = tones(train=8, val=4, batch_size=4, seconds=0.1)
    task = AudioClassifier.from_data(data, backbone=str(tiny))
    assert task.backbone_lr_factor == 0.1
    run = trainer(max_epochs=1)
    run.finetune(task, data, strategy="freeze")
    run.save_checkpoint(tiny.parent / "task.ckpt")
    shutil.rmtree(tiny)
    loaded = AudioClassifier.load_from_checkpoint(tiny.parent / "task.ckpt")
    assert isinstance(loaded.backbone, WaveformTransformer)
    assert loaded.backbone.masks
    sounds = [noise(1600, seed) for seed in range(3)]
    np.testing.assert_allclose(
        loaded.predict(sounds, output="logits"), task.predict(sounds, output="logits"), atol=1e-5
    )


def test_weights_that_are_missing_are_an_error(tiny: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny / "model.safetensors")
    weights.pop("feature_projection.projection.weight")
    save_file(weights, tiny / "model.safetensors", {"format": "pt"})
    with pytest.raises(HubError, match="but 1 are missing, such as 'feature_projection.projection.we"):
        AudioClassifier(num_classes=2, backbone=str(tiny))
    assert AudioClassifier(num_classes=2, backbone=str(tiny), pretrained=False).backbone_lr_factor == 1


def test_a_folder_without_a_model_and_a_name_that_is_nowhere_say_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(HubError, match="Expected a configuration in the folder .* Copy or download"):
        AudioClassifier(num_classes=2, backbone=str(tmp_path))
    with pytest.raises(HubError, match="(?s)Expected a configuration for 'facebook/wav2vec2-base', but .* `hf dow"):
        AudioClassifier(num_classes=2, backbone="facebook/wav2vec2-base")
    with pytest.raises(HubError, match="for 'facebook/wav2vec2-base' at the revision 'v1', but .* --revision v1 --lo"):
        AudioClassifier(num_classes=2, backbone="facebook/wav2vec2-base@v1")


def test_a_model_of_texts_is_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    transformers.BertModel(transformers.BertConfig(vocab_size=10, **sizes)).save_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigurationError, match="Expected a model of transformers for waveforms, .* a BertModel"):
        AudioClassifier(num_classes=2, backbone=str(tmp_path / "bert"))


def test_without_transformers_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, *arguments: Any) -> Any:
        if name == "transformers":
            raise ModuleNotFoundError("No module named 'transformers'", name="transformers")
        return real(name, *arguments)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'flash-audio\[transformers\]'"):
        AudioClassifier(num_classes=2, backbone="facebook/wav2vec2-base")
