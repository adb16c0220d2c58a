"""Models of transformers for waveforms, such as wav2vec 2.0, HuBERT and WavLM: ``flash-audio[transformers]``."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flash.core.layers import block_layers
from flash.errors import CheckpointError, ConfigurationError, DownloadError

from .spec import AudioSpec

__all__ = ["ModelUnavailableError", "WaveformTransformer", "describe", "huggingface"]

_RATE = 16000


class ModelUnavailableError(DownloadError):
    """A checkpoint that is neither in a folder nor cached, and cannot be downloaded; or that is incomplete."""


class WaveformTransformer(nn.Module):
    """A model of transformers that turns waveforms into a vector per step, of which the mean without padding is taken.

    Args:
        model: The model; its ``config`` has the ``conv_kernel`` and ``conv_stride`` of its convolutions.
        sample_rate: The sample rate of its recordings, in Hz.
        standardize: Whether each waveform is standardized.
        masks: Whether the model was trained with a mask for padding; others get silence.

    Raises:
        ConfigurationError: If the model is of another kind.
    """

    def __init__(
        self, model: nn.Module, sample_rate: int = _RATE, standardize: bool = True, masks: bool = False
    ) -> None:
        super().__init__()
        config: Any = getattr(model, "config", None)
        if not hasattr(config, "conv_kernel") or not hasattr(config, "conv_stride"):
            raise ConfigurationError(
                "Expected a model of transformers for waveforms, such as wav2vec 2.0, HuBERT or WavLM, but got a "
                f"{type(model).__name__}. Choose another checkpoint."
            )
        self.model = model
        self.masks = masks
        self.out_features = int(config.hidden_size)
        self.input_spec = AudioSpec(sample_rate, mel=None, standardize=standardize)
        self._convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the mean of the vectors of all steps that are no padding, shape ``(batch, out_features)``.

        Args:
            waveforms: Shape ``(batch, samples)``.
            lengths: The samples of each recording that are no padding, shape ``(batch,)``; by default all.
        """
        if lengths is None:
            lengths = torch.full((waveforms.shape[0],), waveforms.shape[1], device=waveforms.device)
        least = self._samples_of_a_step
        waveforms = nn.functional.pad(waveforms, (0, max(0, least - waveforms.shape[1])))
        options = {}
        if self.masks:
            places = torch.arange(waveforms.shape[1], device=waveforms.device)
            options["attention_mask"] = (places < lengths.clamp(min=least).unsqueeze(1)).long()
        vectors: Tensor = self.model(waveforms, **options).last_hidden_state
        count = lengths
        for kernel, stride in self._convolutions:
            count = torch.div(count - kernel, stride, rounding_mode="floor") + 1
        count = count.clamp(min=1, max=vectors.shape[1])
        mask = torch.arange(vectors.shape[1], device=vectors.device) < count.unsqueeze(1)
        return (vectors * mask.unsqueeze(2)).sum(1) / count.unsqueeze(1)

    @property
    def _samples_of_a_step(self) -> int:
        samples = 1
        for kernel, stride in reversed(self._convolutions):
            samples = (samples - 1) * stride + kernel
        return samples

    def layers(self) -> list[nn.Module]:
        """Return the convolutions and then the blocks, in the order of the forward pass."""
        return block_layers([self.model])


def huggingface(name: str, pretrained: bool = True, config: Mapping[str, Any] | None = None) -> WaveformTransformer:
    """Load a checkpoint by its name on the Hugging Face hub, or from a folder, without running code in it.

    Args:
        name: The name or the folder.
        pretrained: Whether to load weights; otherwise they are random.
        config: What describes the model, in place of that of the checkpoint, which is then not opened.

    Raises:
        ConfigurationError: If transformers is not installed, or the model is of another kind.
        ModelUnavailableError: If the checkpoint cannot be loaded, or weights are missing.
    """
    transformers = _library()
    if config is not None:
        return _from_config(transformers, config)
    settings = _settings(transformers, name)
    try:
        if pretrained:
            model, report = transformers.AutoModel.from_pretrained(
                name, trust_remote_code=False, weights_only=True, output_loading_info=True
            )
            missing = sorted(each for each in report["missing_keys"] if each in model.state_dict())
        else:
            known = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
            model, missing = transformers.AutoModel.from_config(known, trust_remote_code=False), []
    # transformers and its dependencies raise many types.
    except Exception as error:
        raise _unavailable(name, error) from error
    # The mask of training without labels is no weight of a classifier, and some checkpoints lack it.
    missing = [each for each in missing if each != "masked_spec_embed" and "parametrizations" not in each]
    if missing:
        raise ModelUnavailableError(
            f"Expected weights for all of a {type(model).__name__} in {name!r}, but {len(missing)} are missing, such "
            f"as {missing[0]!r}. Choose another checkpoint, or pretrained=False to train from scratch."
        )
    model = model.to(torch.get_default_dtype()).train()
    return WaveformTransformer(model, *settings)


def _library() -> Any:
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise ConfigurationError(
            "Expected transformers for a backbone of the Hugging Face hub, but it is not installed. Install it: pip "
            "install 'flash-audio[transformers]'. Backbones that need nothing else: audio_cnn."
        ) from error


def _settings(transformers: Any, name: str) -> tuple[int, bool, bool]:
    """Return the sample rate, and whether waveforms are standardized and padding is masked."""
    try:
        found, _ = transformers.FeatureExtractionMixin.get_feature_extractor_dict(name)
    # Without such a file the model has the settings of the first of its kind; another problem shows with its weights.
    except OSError:
        found = {}
    rate = int(found.get("sampling_rate", _RATE))
    return rate, bool(found.get("do_normalize", True)), bool(found.get("return_attention_mask", False))


def describe(backbone: WaveformTransformer) -> dict[str, Any]:
    """Return what a checkpoint holds of a model in place of its folder or its name on the hub."""
    model: Any = backbone.model
    config = json.loads(model.config.to_json_string(use_diff=False))
    spec = backbone.input_spec
    return {
        "model": {name: value for name, value in config.items() if name not in ("_name_or_path", "name_or_path")},
        "settings": [spec.sample_rate, spec.standardize, backbone.masks],
    }


def _from_config(transformers: Any, config: Mapping[str, Any]) -> WaveformTransformer:
    kind = str(config["model"].get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        raise CheckpointError(
            f"Expected a model that the installed transformers knows, but got {kind!r}: "
            "pip install --upgrade transformers."
        )
    known = transformers.CONFIG_MAPPING[kind].from_dict(dict(config["model"]))
    model = transformers.AutoModel.from_config(known, trust_remote_code=False)
    return WaveformTransformer(model, *config["settings"])


def _unavailable(name: str, error: Exception) -> Exception:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "trust_remote_code" in str(error):
        return ConfigurationError(
            f"Expected a checkpoint of a model that transformers has itself, but {name!r} needs custom code, which is "
            "never run. Choose another one, or pass the network as a module."
        )
    if Path(name).expanduser().is_dir():
        return ModelUnavailableError(
            f"Expected a checkpoint in the folder {name!r}, as save_pretrained of transformers saves it, but got the "
            f"error: {first} Copy or download the checkpoint again."
        )
    return ModelUnavailableError(
        f"Expected a checkpoint for {name!r}, but there is no such folder, it is not in the cache of the Hugging Face "
        f"hub, and it cannot be downloaded: {first} Where the hub can be reached, download it with `hf download {name} "
        "--local-dir FOLDER`; then pass the folder in place of the name."
    )
