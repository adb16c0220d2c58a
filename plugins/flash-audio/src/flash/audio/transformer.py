"""Models of transformers for waveforms, such as wav2vec 2.0, HuBERT and WavLM: ``flash-audio[transformers]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from flash.core.layers import block_layers
from flash.download.pretrained import (
    config_from_dict,
    config_to_dict,
    import_library,
    load_model,
    load_part,
    make_model,
    read_json,
)
from flash.errors import ConfigurationError

from .spec import AudioSpec

__all__ = ["WaveformTransformer", "describe", "huggingface"]

_RATE = 16000
_WANTED = "a model for waveforms, such as wav2vec 2.0, HuBERT or WavLM"


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
        HubError: If the checkpoint cannot be loaded, or weights are missing.
    """
    transformers = import_library(
        "transformers", "flash-audio[transformers]", "Backbones that need nothing else: audio_cnn."
    )
    if config is not None:
        made = make_model(transformers.AutoModel, config_from_dict(transformers, config["model"]), wanted=_WANTED)
        return WaveformTransformer(made, *config["settings"])
    known = load_part(transformers.AutoConfig.from_pretrained, "a configuration", name)
    model = load_model(
        transformers.AutoModel, name, known, pretrained=pretrained, wanted=_WANTED, is_optional=_is_optional
    )
    return WaveformTransformer(model, *_settings(name))


def _is_optional(weight: str) -> bool:
    # The mask of training without labels is no weight of a classifier, and some checkpoints lack it.
    return weight == "masked_spec_embed" or "parametrizations" in weight


def _settings(name: str) -> tuple[int, bool, bool]:
    """Return the sample rate, and whether waveforms are standardized and padding is masked."""
    # Without such a file the model has the settings of the first of its kind.
    found = read_json(name, "preprocessor_config.json") or {}
    rate = int(found.get("sampling_rate", _RATE))
    return rate, bool(found.get("do_normalize", True)), bool(found.get("return_attention_mask", False))


def describe(backbone: WaveformTransformer) -> dict[str, Any]:
    """Return what a checkpoint holds of a model in place of its folder or its name on the hub."""
    model: Any = backbone.model
    spec = backbone.input_spec
    return {"model": config_to_dict(model.config), "settings": [spec.sample_rate, spec.standardize, backbone.masks]}
