"""Recordings become batches of one length, whose padding does not count."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from flash.audio import AudioClassificationData, AudioClassifier, AudioPreprocess, AudioSpec, MelSpec
from flash.audio.augmentations import Augmentation, Crop, Shift, SpecAugment, augmentations
from flash.data.auto_dataset import AutoDataset
from flash.data.stage import Stage
from flash.errors import ConfigurationError, DataError, UnknownNameError

# Networks with random weights do for what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:Expected this AudioClassifier to be trained")

RATE = 8000
TINY: dict[str, Any] = {"backbone_kwargs": {"width": 4, "n_mels": 16, "out_features": 8}, "sample_rate": RATE}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def steps(seconds: float = 3.0) -> np.ndarray:
    """Samples that say where they are in the recording."""
    return np.linspace(0, 1, round(seconds * RATE), dtype=np.float32)


def made(sounds: list[np.ndarray], **options: Any) -> AudioClassificationData:
    targets = ["a", "b"] * (len(sounds) // 2)
    return AudioClassificationData.from_lists(
        sounds, targets, predict_data=sounds, **{"sample_rate": RATE, "duration": 1.0, "batch_size": 2, **options}
    )


def waveforms(data: AudioClassificationData, stage: str) -> Tensor:
    loader: Any = getattr(data, f"{stage}_dataloader")()
    return torch.cat([(batch[0] if stage == "train" else batch)["waveform"] for batch in loader])


# ---------------------------------------------------------------------- length


def test_long_recordings_are_cut_to_their_middle_and_short_ones_padded() -> None:
    data = made([steps(), steps(0.5)])
    AudioClassifier.from_data(data, **TINY)
    first, second = waveforms(data, "predict")
    torch.testing.assert_close(first, torch.from_numpy(steps()[RATE : 2 * RATE]))
    torch.testing.assert_close(second[: RATE // 2], torch.from_numpy(steps(0.5)))
    assert not second[RATE // 2 :].any()


def test_training_uses_a_random_part_of_long_recordings() -> None:
    data = made([steps()] * 20)
    AudioClassifier.from_data(data, **TINY)
    torch.manual_seed(0)
    starts = waveforms(data, "train")[:, 0]
    assert len(starts.unique()) > 15
    assert starts.min() < 0.2
    assert starts.max() > 0.5


def test_without_augmentation_training_uses_the_middle_and_is_deterministic() -> None:
    data = made([steps(), steps()], augmentation="none")
    AudioClassifier.from_data(data, **TINY)
    torch.testing.assert_close(waveforms(data, "train")[0], torch.from_numpy(steps()[RATE : 2 * RATE]))
    assert data.preprocess is not None
    assert all(data.preprocess.is_deterministic(stage) for stage in Stage)


def test_a_file_is_cut_as_the_same_samples_in_memory_are(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", steps(), RATE, subtype="FLOAT")
    task = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=1.0, sample_rate=RATE), **TINY)
    by_file = task.predict([tmp_path / "a.wav"], output="logits")
    by_array = task.predict([steps()], output="logits")
    np.testing.assert_allclose(by_file, by_array, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.001, 0.3, 0.333, 0.7])
def test_a_recording_has_the_same_result_whatever_it_is_padded_to(seconds: float) -> None:
    torch.manual_seed(0)
    tight = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=seconds, sample_rate=RATE), **TINY)
    wide = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=2.0, sample_rate=RATE), **TINY)
    wide.load_state_dict(tight.state_dict())
    sound = noise(seconds)
    np.testing.assert_allclose(
        tight.predict([sound], output="logits"), wide.predict([sound], output="logits"), atol=1e-5
    )


def test_padding_counts_in_no_statistic_of_training() -> None:
    tasks = []
    for duration in (0.5, 2.0):
        torch.manual_seed(0)
        data = made([noise(0.5, 0), noise(0.5, 1)], duration=duration, augmentation="none")
        task = AudioClassifier.from_data(data, **TINY).train()
        hooks: Any = data.train_dataset.hooks
        task(hooks.transform_on_device(next(iter(data.train_dataloader())))[0])
        tasks.append(task)
    for one, other in zip(*(task.backbone.buffers() for task in tasks), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_silence_and_a_single_sample_have_finite_results() -> None:
    task = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=0.5, sample_rate=RATE), **TINY)
    silent, single = np.zeros(RATE, np.float32), np.ones(1, np.float32)
    assert np.isfinite(task.predict([silent, single], output="logits")).all()


# ---------------------------------------------------------------------- windows


def test_windows_hear_all_of_a_long_recording_and_no_more_than_that() -> None:
    data = made([steps(), steps(2.5), steps(0.5), steps(30.0)], windows=5, batch_size=4)
    AudioClassifier.from_data(data, **TINY)
    batch = next(iter(data.predict_dataloader()))
    assert list(batch) == ["window_counts", "waveform", "length"]
    assert batch["window_counts"].tolist() == [3, 3, 1, 5]
    starts = [0, 1 / 3, 2 / 3, 0, 0.3, 0.6, 0, 0, 29 / 120, 29 / 60, 29 / 40, 29 / 30]
    torch.testing.assert_close(batch["waveform"][:, 0], torch.tensor(starts), atol=1e-3, rtol=0)
    assert batch["length"].tolist() == [*[RATE] * 6, RATE // 2, *[RATE] * 5]
    assert not batch["waveform"][6, RATE // 2 :].any()
    assert next(iter(data.train_dataloader()))[0]["waveform"].shape == (4, RATE)


def test_the_logits_of_windows_are_averaged_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    preprocess = AudioPreprocess(duration=1.0, sample_rate=RATE, windows=3)
    task = AudioClassifier(num_classes=2, preprocess=preprocess, **TINY)
    sounds = [noise(3.0, 0), noise(0.7, 1), noise(2.0, 2)]
    found = task.predict(sounds, output="logits")
    parts = [sounds[0][:RATE], sounds[0][RATE : 2 * RATE], sounds[0][2 * RATE :]]
    np.testing.assert_allclose(found[0], np.mean(task.predict(parts, output="logits"), axis=0), atol=1e-5)
    np.testing.assert_allclose(found[1], task.predict([sounds[1]], output="logits")[0], atol=1e-5)
    sizes = []
    monkeypatch.setattr("flash.audio.backbones._WINDOWS_AT_A_TIME", 2)
    task.backbone.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    np.testing.assert_allclose(task.predict(sounds, output="logits"), found, atol=1e-5)
    assert sizes == [2, 2, 2]


def test_windows_of_a_file_are_those_of_the_same_samples_in_memory(tmp_path: Path) -> None:
    rate = 2 * RATE
    sound = np.random.default_rng(0).normal(0, 0.1, 3 * rate).astype(np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, rate, subtype="FLOAT")
    task = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=1.0, windows=9), **TINY)
    recording = {"array": sound, "sampling_rate": rate}
    found = [task.predict([each], output="logits")[0] for each in (path, path.read_bytes(), recording)]
    found.append(task.predict([{"path": str(path), "bytes": None}], output="logits")[0])
    for each in found[1:]:
        np.testing.assert_allclose(found[0], each, atol=1e-5)


@pytest.mark.parametrize("windows", [0, True, 1.5, "all"])
def test_a_number_of_windows_that_is_none_is_refused(windows: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected windows to be a whole number of at least 1, but got"):
        AudioPreprocess(windows=windows)


def test_windows_are_averaged_in_validation_with_frozen_features_in_figures_and_after_loading(
    trainer: Callable[..., Any], tmp_path: Path
) -> None:
    sounds = [noise(2.0, seed) for seed in range(8)]
    data = AudioClassificationData.from_lists(
        *(sounds, ["a", "b"] * 4, sounds, ["a", "b"] * 4),
        sample_rate=RATE,
        duration=0.5,
        windows=4,
        augmentation="none",
        batch_size=4,
    )
    task = AudioClassifier.from_data(data, **TINY)
    run = trainer(max_epochs=1)
    run.finetune(task, data, strategy="freeze")
    assert len(data.show_batch("val").axes) >= 4
    run.save_checkpoint(tmp_path / "task.ckpt")
    loaded = AudioClassifier.load_from_checkpoint(tmp_path / "task.ckpt")
    expected = task.predict(sounds, output="logits")
    np.testing.assert_allclose(loaded.predict(sounds, output="logits"), expected, atol=1e-5)
    metrics = run.validate(task, data, verbose=False)[0]
    logits, codes = torch.tensor(np.array(expected)), torch.tensor([0, 1] * 4)
    assert metrics["val_loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, codes)), abs=1e-5)


# ---------------------------------------------------------------------- the network's rate


def test_recordings_of_several_rates_are_heard_alike(tmp_path: Path) -> None:
    time = np.arange(48000) / 48000
    paths = []
    for rate in (8000, 44100, 48000):
        samples = 0.3 * np.sin(2 * np.pi * 500 * time[:rate] * 48000 / rate)
        paths.append(tmp_path / f"{rate}.wav")
        soundfile.write(paths[-1], samples, rate)
    torch.manual_seed(0)
    task = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=0.5), **TINY)
    logits = np.array(task.predict(paths, output="logits"))
    np.testing.assert_allclose(logits[0], logits[1], atol=0.05)
    np.testing.assert_allclose(logits[0], logits[2], atol=0.05)


def test_the_task_says_its_rate_and_its_spectrogram() -> None:
    task = AudioClassifier(num_classes=2)
    assert task.input_spec == AudioSpec(16000, 5.0, MelSpec.at(16000))
    assert AudioClassifier(num_classes=2, sample_rate=22050).input_spec.mel == MelSpec.at(22050)
    with pytest.raises(ConfigurationError, match="Expected sample_rate to be a number of samples per second"):
        AudioClassifier(num_classes=2, sample_rate=0)


@pytest.mark.parametrize("options", [{"n_mels": 0}, {"hop_length": 0}, {"win_length": 600}])
def test_a_spectrogram_that_is_none_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="Expected positive lengths of a spectrogram"):
        MelSpec(**options)


@pytest.mark.parametrize("duration", [0, -1, float("inf"), float("nan"), "5", True])
def test_a_duration_that_is_none_is_refused(duration: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected duration to be a number of seconds above 0"):
        AudioPreprocess(duration=duration)


# ---------------------------------------------------------------------- augmentation


def test_the_augmentations_are_known_by_their_names() -> None:
    assert augmentations.list() == ["crop", "none", "shift", "specaugment"]
    kinds = {name: type(augmentations.get(name)(AudioSpec())) for name in augmentations.list()}
    assert kinds == {"none": Augmentation, "crop": Crop, "shift": Shift, "specaugment": SpecAugment}


def test_a_shift_rotates() -> None:
    torch.manual_seed(1)
    samples = torch.arange(10)
    rotated = Shift(AudioSpec()).waveform(samples)
    assert not torch.equal(rotated, samples)
    assert rotated.sort().values.tolist() == samples.tolist()
    start = int(rotated[0])
    assert rotated.tolist() == [(start + place) % 10 for place in range(10)]


def test_specaugment_masks_bands_and_frames_of_each_recording_without_its_padding() -> None:
    torch.manual_seed(0)
    ones = torch.ones(64, 1, 40, 100)
    frames = torch.full((64,), 50)
    masked = SpecAugment(AudioSpec()).spectrogram(ones, frames)
    zeros = (masked == 0).float()
    assert 0.1 < zeros[..., :50].mean() < 0.5
    hidden_frames = (masked.sum(2) == 0).float()
    assert not hidden_frames[..., 50:].any()
    assert hidden_frames.sum(-1).max() <= 2 * 0.2 * 50 + 2
    assert len({tuple(row) for row in zeros.flatten(1).tolist()}) > 60


def test_specaugment_changes_what_the_network_gets_in_training_alone() -> None:
    data = made([noise(1.0)] * 2, augmentation="specaugment")
    AudioClassifier.from_data(data, **TINY)
    train: Any = data.train_dataset.hooks
    predict: Any = data.predict_dataset.hooks
    batch = next(iter(data.predict_dataloader()))
    plain = predict.transform_on_device(batch)["spectrogram"]
    torch.manual_seed(0)
    assert (train.transform_on_device((batch, None))[0]["spectrogram"] == 0).sum() > (plain == 0).sum() + 50


def test_a_callable_is_an_augmentation_of_samples() -> None:
    data = made([steps(0.5)] * 2, augmentation=lambda samples: -samples)
    AudioClassifier.from_data(data, **TINY)
    torch.testing.assert_close(waveforms(data, "train")[0, : RATE // 2], -torch.from_numpy(steps(0.5)))
    assert waveforms(data, "predict").max() == 1


@pytest.mark.parametrize(("result", "got"), [(torch.zeros(2, 3), r"shape \(2, 3\)"), (None, "NoneType")])
def test_a_callable_that_returns_no_samples_is_an_error(result: Any, got: str) -> None:
    data = made([steps(0.5)] * 2, augmentation=lambda samples: result)
    with pytest.raises(ConfigurationError, match=rf"Expected the augmentation to return samples, .* but got {got}"):
        _ = data.train_dataset[0]


def test_an_augmentation_that_nobody_knows_is_an_error_before_training() -> None:
    with pytest.raises(UnknownNameError, match="'crap' is not among the audio augmentations. Did you mean 'crop'"):
        _ = made([steps(0.5)] * 2, augmentation="crap").train_dataset
    with pytest.raises(ConfigurationError, match=r"Expected augmentation to be one of 'crop', .* but got 3"):
        made([steps(0.5)] * 2, augmentation=3)


# ---------------------------------------------------------------------- hooks


def test_a_network_of_waveforms_gets_them_standardized() -> None:
    class Network(nn.Module):
        input_spec = AudioSpec(RATE, mel=None)
        out_features = 1

        def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
            return waveforms.sum(1, keepdim=True) / lengths[:, None]

    task = AudioClassifier(
        num_classes=2, backbone=Network(), preprocess=AudioPreprocess(duration=1.0, sample_rate=RATE)
    )
    inputs = task.preprocess.stage_hooks(Stage.PREDICT, task.input_spec)
    batch = inputs.transform_on_device({"waveform": torch.tensor([[3.0, 5.0, 0.0]]), "length": torch.tensor([2])})
    torch.testing.assert_close(batch["waveform"], torch.tensor([[-1.0, 1.0, 0.0]]))
    assert len(task.predict([noise(0.5)])) == 1
    with pytest.raises(ConfigurationError, match="Expected the sample rate that Network was trained with, 8000, but"):
        AudioClassifier(num_classes=2, backbone=Network(), sample_rate=16000)


def test_a_preprocess_can_be_pickled_after_use() -> None:
    preprocess = AudioPreprocess(sample_rate=RATE)
    hooks = preprocess.stage_hooks(Stage.PREDICT)
    hooks.transform_on_device({"waveform": torch.zeros(1, 80000), "length": torch.tensor([9])})
    assert pickle.loads(pickle.dumps(preprocess)).sample_rate == RATE


def test_a_subclass_with_hooks_of_its_own_is_not_called_deterministic() -> None:
    class Louder(AudioPreprocess):
        def train_post_tensor_transform(self, sample: Any) -> Any:
            return sample

    preprocess = Louder("none")
    assert not preprocess.is_deterministic(Stage.TRAIN)
    assert preprocess.is_deterministic(Stage.VAL)
    assert AudioPreprocess("crop", deterministic=True).is_deterministic(Stage.TRAIN)


@pytest.mark.parametrize("data", [3, None, {"file": ["a.wav"]}])
def test_what_is_no_input_of_predict_says_what_is(data: Any) -> None:
    task = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=0.1, sample_rate=RATE), **TINY)
    with pytest.raises(DataError, match="Expected "):
        task.predict(data)


def test_one_recording_is_predicted_in_all_its_forms(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.3), RATE, subtype="FLOAT")
    torch.manual_seed(0)
    task = AudioClassifier(num_classes=2, preprocess=AudioPreprocess(duration=0.3, sample_rate=RATE), **TINY)
    forms: list[Any] = [
        tmp_path / "a.wav",
        str(tmp_path / "a.wav"),
        tmp_path,
        (tmp_path / "a.wav").read_bytes(),
        noise(0.3),
        torch.from_numpy(noise(0.3)),
        {"array": noise(0.3), "sampling_rate": RATE},
        [{"array": noise(0.3), "sampling_rate": RATE}],
        [{"bytes": (tmp_path / "a.wav").read_bytes(), "path": None}],
        noise(0.3)[None],
        [noise(0.3)],
        [torch.from_numpy(noise(0.3))[None]],
    ]
    expected = task.predict([noise(0.3)], output="logits")
    for form in forms:
        found = task.predict(form, output="logits")
        assert len(found) == 1
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_samples_are_shown_as_spectrograms() -> None:
    data = made([steps(), noise(0.5)])
    AudioClassifier.from_data(data, **TINY)
    dataset: Any = data.predict_dataset
    assert isinstance(dataset, AutoDataset)
    pictures = dataset.hooks.display(dataset.samples, [0, 1])
    assert [picture.shape for picture in pictures] == [(128, 800, 3), (128, 400, 3)]
    assert all(picture.dtype == np.uint8 for picture in pictures)


def test_a_high_tone_is_bright_above_and_a_low_one_below(tone: Callable[..., np.ndarray]) -> None:
    bright = []
    for pitch in (150.0, 3000.0):
        sound = tone("x", 0, 0.5, RATE, {"x": pitch})
        data = made([sound, sound])
        dataset: Any = data.predict_dataset
        picture = dataset.hooks.display(dataset.samples, [0])[0].astype(float).sum((1, 2))
        bright.append(int(picture.argmax()) / len(picture))
    assert bright[0] > 0.7
    assert bright[1] < 0.4
