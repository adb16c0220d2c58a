"""AudioPreprocess: recordings to batches of waveforms of one length, and to spectrograms on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flash.data.auto_dataset import AutoDataset
from flash.data.display import Display
from flash.data.files import FilePreprocess, FileSample
from flash.data.inputs import SampleInputs
from flash.data.portable import Portable, TensorSpec
from flash.data.process import Preprocess
from flash.data.requests import RequestFields
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError
from flash.plugins import default_owner

from . import decode
from .augmentations import Augmentation, augmentations
from .pictures import picture_of
from .read import AUDIO_EXTENSIONS, check_audio, middle, open_audio, open_windows
from .spec import AudioSpec, MelSpec, check_duration, check_rate
from .spectrogram import LogMel, standardized

__all__ = ["AudioPreprocess"]


class AudioPreprocess(FilePreprocess):
    """Read, cut and resample recordings in the workers, and compute spectrograms on the model's device.

    The sample rate and the spectrogram are those of the task's ``input_spec``; without a task they are those of
    ``AudioSpec()``. A recording that is longer than the duration is cut: for training a random part of it is used with
    the default augmentation, in the other stages its middle. A shorter one is padded with silence, which the
    spectrogram and the backbone ``audio_cnn`` leave out.

    Args:
        augmentation: For training: ``"crop"``, a random part of long recordings; ``"shift"``, which rotates them too;
            ``"specaugment"``, which masks bands and frames; ``"none"``, the middle, so that features of a frozen
            backbone can be computed once; another name in ``flash.audio.augmentations``; or a callable from samples
            ``(samples,)`` to samples, such as those of torch-audiomentations.
        duration: The length that recordings are cut or padded to, in seconds; by default the backbone's own.
        sample_rate: The sample rate of arrays and tensors, in Hz; files state their own.
        windows: The maximum number of parts of a long recording that are heard in validation, testing and prediction,
            evenly from its beginning to its end; the features of the backbone are averaged over them, and so are the
            logits of a linear head. Training always uses one part.
        deterministic: Whether callables and datasets return the same each time, so that features of a frozen backbone
            can be computed once. ``None`` assumes they do not.

    Raises:
        ConfigurationError: If an argument is none of these.

    Example:
        >>> preprocess = AudioPreprocess(duration=0.5, sample_rate=8000)
        >>> dataset = AutoDataset([np.zeros(8000, np.float32)], Stage.PREDICT, preprocess, AudioSpec())
        >>> dataset[0]["waveform"].shape, dataset[0]["length"]
        (torch.Size([8000]), tensor(8000))
    """

    noun = "recording"
    extensions = AUDIO_EXTENSIONS
    dataset_fields = ("audio", "recording", "sound", "waveform")

    def __init__(
        self,
        augmentation: str | Callable[[Tensor], Tensor] = "crop",
        duration: float | None = None,
        sample_rate: int | None = None,
        deterministic: bool | None = None,
        windows: int = 1,
    ) -> None:
        if not isinstance(augmentation, str) and not callable(augmentation):
            raise ConfigurationError(
                f"Expected augmentation to be one of {', '.join(map(repr, augmentations.list()))}, or a callable from "
                f"samples to samples, but got {augmentation!r}."
            )
        if duration is not None:
            check_duration(duration)
        if sample_rate is not None:
            check_rate(sample_rate, "sample_rate")
        self.augmentation = augmentation
        self.duration = duration
        self.sample_rate = sample_rate
        if isinstance(windows, bool) or not isinstance(windows, int) or windows < 1:
            raise ConfigurationError(f"Expected windows to be a whole number of at least 1, but got {windows!r}.")
        self.deterministic = deterministic
        self.windows = windows
        self._augment: tuple[AudioSpec, Augmentation] | None = None
        self._log_mel: tuple[AudioSpec, LogMel] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Tensors on a device cannot be sent to workers.
        return {**vars(self), "_log_mel": None}

    @property
    def spec(self) -> AudioSpec:
        """The requirements of the network of the hook that is running, with the duration of this object."""
        return self.spec_for(self.input_spec)

    def spec_for(self, input_spec: Any) -> AudioSpec:
        """Return what a network expects, with the duration of this object.

        Args:
            input_spec: The ``input_spec`` of its task; for one that is no :class:`~flash.audio.AudioSpec`, or none, it
                is ``AudioSpec()``.
        """
        spec = input_spec if isinstance(input_spec, AudioSpec) else AudioSpec()
        return spec if self.duration is None else replace(spec, duration=float(self.duration))

    # ------------------------------------------------------------------ samples

    def load_data(self, data: Any, dataset: AutoDataset) -> Any:
        """Encode the targets; fit the classes on train data first."""
        samples = super().load_data(data, dataset)
        if self.training and isinstance(self.augmentation, str):
            # An unknown name raises here rather than in the first batch.
            augmentations.get(self.augmentation, default_owner(self, "augmentation", self.augmentation))
        return samples

    def request_fields(self) -> RequestFields:
        """Return that a sample is an uploaded recording."""
        return RequestFields("audio", extensions=self.extensions)

    def try_sample(self, source: Any, name: str) -> None:
        """Decode the whole recording, which detects all damage."""
        check_audio(source, self.sample_rate, name)

    def inputs_to_predict(self, data: Any) -> SampleInputs:
        """Convert the argument of ``predict`` to inputs; dicts of the library ``datasets`` are recordings, no rows."""
        listed = [data] if isinstance(data, Mapping) else data
        if isinstance(listed, list | tuple) and listed and all(map(_is_recording, listed)):
            return SampleInputs(self.sources_of(listed, "the predict data"))
        return super().inputs_to_predict(data)

    def sources_to_predict(self, data: Any) -> Any:
        """Normalize the input of ``predict`` (path, folder, list or array of recordings) to a sequence of sources."""
        if isinstance(data, Tensor | np.ndarray):
            return [data] if data.ndim == 1 else data
        if isinstance(data, bytes):
            return [data]
        if isinstance(data, str | Path | Iterator):
            return super().sources_to_predict(data)
        if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, Mapping):
            return data
        raise DataError(
            "Expected recordings: a path, a folder, a list of paths or arrays, an array (recordings, samples[, "
            f"channels]) or a tensor (recordings[, channels], samples), but got {type(data).__name__}."
        )

    def load_sample(self, sample: FileSample, dataset: AutoDataset) -> Any:
        """Open the part of a recording that is used, or its windows; return them with its target, if it has one."""
        spec = self.spec
        opened: Any
        if self.windows > 1 and not self.training:
            parts = open_windows(
                *(sample.source, spec.sample_rate, spec.duration, self.windows),
                source_rate=self.sample_rate,
                name=sample.name,
            )
            opened = [part[: spec.samples] for part in parts]
        else:
            opened = open_audio(
                *(sample.source, spec.sample_rate, spec.duration),
                cut=self.augment.cut if self.training else middle,
                source_rate=self.sample_rate,
                name=sample.name,
            )[: spec.samples]
        return opened if sample.target is None else (opened, sample.target)

    def to_tensor_transform(self, sample: Any) -> Any:
        """Augment the samples, and pad them with silence to the duration."""
        if isinstance(sample, tuple):
            return self._padded(sample[0]), *sample[1:]
        return self._padded(sample)

    def _padded(self, samples: Any) -> dict[str, Tensor]:
        if isinstance(samples, list):
            parts = [self._padded(each) for each in samples]
            return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
        if self.training:
            samples = self.augment.waveform(samples)
            if not isinstance(samples, Tensor) or samples.ndim != 1 or not len(samples):
                got = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else type(samples).__name__
                raise ConfigurationError(
                    f"Expected the augmentation to return samples, a tensor of shape (samples,), but got {got}."
                )
        samples = samples[: self.spec.samples]
        length = torch.tensor(len(samples))
        return {"waveform": nn.functional.pad(samples, (0, self.spec.samples - len(samples))), "length": length}

    def collate(self, samples: Sequence[Any]) -> Any:
        """Stack recordings of one length; of windows, all of the batch, with their number for each recording."""
        if self.windows == 1 or self.training:
            return super().collate(samples)
        inputs = [sample[0] if isinstance(sample, tuple) else sample for sample in samples]
        counts = torch.tensor([len(each["length"]) for each in inputs])
        # First, what has a row for each recording.
        batch = {"window_counts": counts, **{name: torch.cat([each[name] for each in inputs]) for name in inputs[0]}}
        if not isinstance(samples[0], tuple):
            return batch
        return (batch, *super().collate([sample[1:] for sample in samples]))

    @property
    def augment(self) -> Augmentation:
        """The augmentation for the network of the hook that is running."""
        spec = self.spec
        if self._augment is None or self._augment[0] != spec:
            if isinstance(self.augmentation, str):
                owner = default_owner(self, "augmentation", self.augmentation)
                made = augmentations.get(self.augmentation, owner)(spec)
            else:
                made = _Own(spec, self.augmentation)
            self._augment = spec, made
        return self._augment[1]

    # ------------------------------------------------------------------ on the device

    def per_batch_transform_on_device(self, batch: Any) -> Any:
        """Compute spectrograms, or standardize waveforms, as the network expects."""
        if isinstance(batch, tuple | list):
            return (self._inputs(batch[0]), *batch[1:])
        return self._inputs(batch)

    def _inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        waveforms, lengths, spec = inputs["waveform"], inputs["length"], self.spec
        counts = {name: inputs[name] for name in inputs if name == "window_counts"}
        if spec.mel is not None:
            spectrograms, frames = self.log_mel_for(spec, waveforms.device)(waveforms, lengths)
            if self.training:
                spectrograms = self.augment.spectrogram(spectrograms, frames)
            return {**counts, "spectrogram": spectrograms, "length": frames}
        if spec.standardize:
            places = torch.arange(waveforms.shape[1], device=waveforms.device)
            mask = (places < lengths.unsqueeze(1)).to(waveforms.dtype)
            waveforms = standardized(waveforms, mask, (1,))
        return {**counts, "waveform": waveforms, "length": lengths}

    def log_mel_for(self, spec: AudioSpec, device: torch.device) -> LogMel:
        """Return the spectrogram of a network, or for one of waveforms that of its sample rate, on a device."""
        if self._log_mel is not None and self._log_mel[0] == spec and self._log_mel[1].window.device == device:
            return self._log_mel[1]
        made = LogMel(spec.mel or MelSpec.at(spec.sample_rate), spec.sample_rate, spec.standardize).to(device)
        # What torch.export traces with is no tensor for other calls.
        if not torch.compiler.is_compiling():
            self._log_mel = spec, made
        return made

    # ------------------------------------------------------------------ for a person

    def preview_spec(self) -> AudioSpec:
        """Return the spec for previews before a task is connected."""
        return AudioSpec()

    def display(self, samples: Any, rows: Sequence[int]) -> Sequence[Display]:
        """Return the spectrogram of each recording, without its padding and before augmentation."""
        spec = self.spec
        log_mel = self.log_mel_for(spec, torch.device("cpu"))
        pictures = []
        for row in rows:
            sample = samples[row]
            opened = open_audio(
                *(sample.source, spec.sample_rate, spec.duration), source_rate=self.sample_rate, name=sample.name
            )
            pictures.append(picture_of(log_mel(opened[None])[0][0, 0]))
        return pictures

    def display_inputs(self, inputs: Mapping[str, Tensor]) -> Sequence[Display]:
        """Return the spectrograms that the network gets; of waveforms, their spectrograms; of windows, the first."""
        if "window_counts" in inputs:
            counts = inputs["window_counts"]
            firsts = counts.cumsum(0) - counts
            inputs = {name: value[firsts] for name, value in inputs.items() if name != "window_counts"}
        if "spectrogram" in inputs:
            spectrograms, frames = inputs["spectrogram"].float().cpu(), inputs["length"].cpu()
        else:
            log_mel = self.log_mel_for(self.spec, torch.device("cpu"))
            spectrograms, frames = log_mel(inputs["waveform"].float().cpu(), inputs["length"].cpu())
        return [picture_of(one[0, :, :count]) for one, count in zip(spectrograms, frames.tolist(), strict=True)]

    # ------------------------------------------------------------------ export

    def portable(self) -> Portable:
        """Return the inputs, waveforms of one length, and how files become these."""
        spec = self.spec
        inputs = {
            "waveform": TensorSpec("float32", ("batch", spec.samples), values=_examples(spec.samples)),
            "length": TensorSpec("int64", ("batch",), values=spec.samples),
        }
        if self.windows > 1:
            return Portable(inputs, reason="the network gets one part of a recording, and windows are several")
        if self.overrides_hooks(AudioPreprocess, Stage.PREDICT):
            return Portable(inputs, reason=f"recordings are made by hooks of {type(self).__name__}")
        settings = {
            "sample_rate": spec.sample_rate,
            "duration": spec.duration,
            "samples": spec.samples,
            "extensions": sorted(self.extensions),
            "tables": [] if self.input_field is None else [".csv", ".tsv", ".txt", ".jsonl", ".ndjson"],
            "input_field": self.input_field,
        }
        return Portable(inputs, encoder=decode.__name__, settings=settings, requires=("soundfile", "soxr"))

    # ------------------------------------------------------------------ determinism and state

    def is_deterministic(self, stage: Stage) -> bool:
        """Return whether the transforms of a stage are known to be deterministic."""
        if self.deterministic is not None:
            return self.deterministic
        augmented = stage is Stage.TRAIN and self.augmentation != "none"
        return not (augmented or stage in self.nondeterministic_stages or self.overrides_hooks(AudioPreprocess, stage))

    def agrees_with(self, other: Preprocess) -> bool:
        """Return whether the classes are the same: each data module may augment in its own way."""
        return isinstance(other, AudioPreprocess) and other.targets == self.targets


def _examples(samples: int) -> Tensor:
    """Return noise with more and more silence behind it, shape ``(4, samples)``: padding is where exporters err."""
    noise = torch.randn(4, samples, generator=torch.Generator().manual_seed(0))
    return 0.1 * noise * (torch.arange(samples) < torch.tensor([[1.0], [0.6], [0.1], [0.0]]) * samples)


def _is_recording(value: Any) -> bool:
    return isinstance(value, Mapping) and ({"array", "sampling_rate"} <= value.keys() or "bytes" in value)


class _Own(Augmentation):
    """A callable of the user, after the random part."""

    def __init__(self, spec: AudioSpec, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(spec)
        self._function = function

    def cut(self, extra: int) -> int:
        return int(torch.randint(extra + 1, ()))

    def waveform(self, samples: Tensor) -> Tensor:
        return self._function(samples)
