"""A task saved as a folder, loaded from it and pushed: it predicts the same, and whatever is wrong is said."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import flash
from flash.core.classification import ClassificationTask
from flash.core.structure import changes_structure
from flash.errors import CheckpointError, ConfigurationError, DownloadError, UnreachableError, UnsafeCheckpointError
from flash.plugins import isolated_plugins
from flash.serialization import equal, read_checkpoint, write_checkpoint, write_folder

from .zoo import OnBackbone, Zoo


class Net(ClassificationTask):
    """A classifier with a setting of each type that JSON has no form for."""

    def __init__(self, num_classes: int = 2, sizes: Any = (4, 3), names: Any = None, **kwargs: Any) -> None:
        super().__init__(num_classes, **kwargs)
        self.sizes, self.names = sizes, names
        self.backbone = nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.BatchNorm1d(sizes[1]), nn.ReLU())
        self.head = nn.Linear(sizes[1], num_classes)

    def forward(self, x: Any) -> Any:
        return self.head(self.backbone(x))


class Other(flash.Task):
    """Another task."""


@changes_structure
def add_layer(task: Any, size: int, scale: torch.Tensor) -> None:
    task.extra = nn.Linear(size, size)
    task.extra.register_buffer("scale", scale.clone())


X = torch.linspace(-1, 1, 20).reshape(5, 4)


def make_data(rows: int = 16) -> flash.DataModule:
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    parts: dict[str, Any] = {"train": x, "val": x, "test": x, "predict": x}
    inputs = {f"{stage}_data": value for stage, value in parts.items()}
    targets = {f"{stage}_targets": y for stage in ("train", "val", "test")}
    return flash.DataModule.from_tensors(**inputs, **targets, batch_size=8, seed=0)


def trained(trainer: Any, **kwargs: Any) -> Net:
    torch.manual_seed(0)
    data = make_data()
    task = Net.from_data(data, num_classes=2, labels=["ants", "bées"], metrics=["accuracy"], **kwargs)
    trainer().fit(task, data)
    return task


def probabilities(task: flash.Task) -> torch.Tensor:
    return torch.tensor([list(each) for each in task.predict(X, output="probabilities")])


def same(one: flash.Task, other: flash.Task) -> None:
    """Check that two tasks are equal in what a user sees."""
    assert type(one) is type(other)
    assert repr(one) == repr(other)
    assert dict(one.recorded_arguments) == dict(other.recorded_arguments)
    assert one.history == other.history
    assert equal(one.structure_changes, other.structure_changes)
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("door", ["from_pretrained", "load_from_checkpoint"])
@pytest.mark.parametrize("asked", [flash.Task, ClassificationTask, Net])
def test_a_task_comes_back_from_a_folder_by_each_door_and_class(trainer: Any, door: str, asked: Any) -> None:
    task = trained(trainer, sizes=(4, 3), names={1: "one", (2, 3): {"a"}})
    task.save_pretrained("net")
    found = getattr(asked, door)("net")
    same(task, found)
    assert found.labels == ["ants", "bées"]
    assert (found.sizes, found.names) == ((4, 3), {1: "one", (2, 3): {"a"}})
    assert torch.equal(probabilities(task), probabilities(found))


def test_a_folder_holds_what_a_checkpoint_does_without_the_run(trainer: Any) -> None:
    torch.manual_seed(0)
    task = trained(trainer)
    task.trainer.save_checkpoint("net.ckpt")
    task.save_pretrained("net")
    same(flash.Task.load_from_checkpoint("net.ckpt"), flash.Task.from_pretrained("net"))
    file, folder = read_checkpoint("net.ckpt"), read_checkpoint("net")
    assert folder.keys() == {"state_dict", "flash"}
    assert set(file["flash"]) - set(folder["flash"]) == {"random_state", "world_size"}
    assert {name: file["flash"][name] for name in folder["flash"] if name != "preprocess"} == {
        name: value for name, value in folder["flash"].items() if name != "preprocess"
    }


def test_from_pretrained_takes_a_file_as_well(trainer: Any) -> None:
    task = trained(trainer)
    task.trainer.save_checkpoint("net.ckpt")
    same(task, Net.from_pretrained("net.ckpt"))


def test_a_loaded_task_is_saved_and_trained_again(trainer: Any) -> None:
    task = trained(trainer)
    task.save_pretrained("one")
    flash.Task.from_pretrained("one").save_pretrained("two")
    same(task, flash.Task.from_pretrained("two"))
    files = [json.loads(Path(name, "flash.json").read_text()) for name in ("one", "two")]
    assert files[0] == files[1]
    before = probabilities(task)
    found = flash.Task.from_pretrained("two")
    trainer().fit(found, make_data())
    assert not torch.equal(before, probabilities(found))


def test_a_task_that_was_never_trained_comes_back(trainer: Any) -> None:
    task = Net(num_classes=3)
    task.save_pretrained("net")
    same(task, flash.Task.from_pretrained("net"))


def test_changes_of_structure_are_repeated(trainer: Any) -> None:
    task = trained(trainer)
    task.change_structure(add_layer, size=3, scale=torch.arange(3.0))
    task.save_pretrained("net")
    found: Any = flash.Task.from_pretrained("net")
    same(task, found)
    assert torch.equal(found.extra.scale, torch.arange(3.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_those_that_a_checkpoint_gives(trainer: Any, dtype: Any) -> None:
    task = trained(trainer).to(dtype)
    task.trainer.save_checkpoint("net.ckpt")
    task.save_pretrained("net")
    found, expected = flash.Task.from_pretrained("net"), flash.Task.load_from_checkpoint("net.ckpt")
    same(expected, found)
    assert torch.equal(probabilities(expected), probabilities(found))
    weights = read_checkpoint("net")["state_dict"]
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {dtype}


def test_tied_weights_and_those_of_another_layout_come_back() -> None:
    task: Any = Net(sizes=(4, 4), num_classes=4)
    task.head.weight = task.backbone[0].weight
    with torch.no_grad():
        task.head.bias = nn.Parameter(torch.arange(8.0)[::2])
    assert not task.head.bias.is_contiguous()
    task.save_pretrained("net")
    assert torch.equal(probabilities(task), probabilities(flash.Task.from_pretrained("net")))


def test_a_preprocess_with_a_state_comes_back(trainer: Any) -> None:
    task = trained(trainer)
    task.preprocess = Centered()
    task.preprocess.mean = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    before = probabilities(task)
    task.save_pretrained("net")
    found = flash.Task.from_pretrained("net")
    assert torch.equal(before, probabilities(found))
    assert not torch.equal(before, probabilities(Net.from_pretrained("net", preprocess=Uncentered())))


class Centered(flash.Preprocess):
    """Subtract a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.zeros(4)

    def to_tensor_transform(self, sample: Any) -> Any:
        return sample - self.mean.float()

    def state_dict(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def load_state_dict(self, state: Any) -> None:
        self.mean = state["mean"]


class Uncentered(Centered):
    """Keep each sample as it is."""

    def to_tensor_transform(self, sample: Any) -> Any:
        return sample


def test_the_rng_state_is_neither_stored_nor_changed(trainer: Any) -> None:
    task = trained(trainer)
    before = torch.get_rng_state()
    task.save_pretrained("net")
    assert torch.equal(before, torch.get_rng_state())
    assert "random" not in Path("net/flash.json").read_text()


# ---------------------------------------------------------------------- what is wrong


def test_another_class_is_an_error_that_names_the_right_one(trainer: Any) -> None:
    trained(trainer).save_pretrained("net")
    with pytest.raises(
        CheckpointError, match=r"of a Other, but this one holds a Net\. Call Net\.from_pretrained, or fla"
    ):
        Other.from_pretrained("net")


def test_a_network_that_was_passed_has_to_be_passed_again() -> None:
    task = flash.Task(nn.Linear(4, 2))
    task.save_pretrained("net")
    with pytest.raises(
        CheckpointError, match=r"Expected model to be passed.* Call Task\.from_pretrained\(path, model="
    ):
        flash.Task.from_pretrained("net")
    found = flash.Task.from_pretrained("net", model=nn.Linear(4, 2))
    assert torch.equal(found.predict(X)[0], task.predict(X)[0])


def test_other_weights_are_an_error(trainer: Any) -> None:
    trained(trainer).save_pretrained("net")
    with pytest.raises(CheckpointError, match="(?s)these do not fit: .*size mismatch"):
        flash.Task.from_pretrained("net", sizes=(4, 5))


def test_missing_weights_are_an_error_unless_they_are_allowed(trainer: Any) -> None:
    trained(trainer).save_pretrained("net")
    stored = read_checkpoint("net")
    del stored["state_dict"]["head.bias"]
    write_folder(stored, "net")
    with pytest.raises(CheckpointError, match=r'Missing key\(s\) in state_dict: "head.bias"'):
        flash.Task.from_pretrained("net")
    assert flash.Task.from_pretrained("net", strict=False).labels == ["ants", "bées"]


def test_a_missing_plugin_is_named() -> None:
    with isolated_plugins(Zoo()):
        OnBackbone("Wav-CNN").save_pretrained("net")
        assert isinstance(flash.Task.from_pretrained("net"), OnBackbone)
    dist = read_checkpoint("net")["flash"]["backbone"]["dist"]
    with isolated_plugins(), pytest.raises(CheckpointError, match=f"not installed: pip install {dist}"):
        flash.Task.from_pretrained("net")


def test_a_later_version_is_named(trainer: Any) -> None:
    trained(trainer).save_pretrained("net")
    stored = read_checkpoint("net")
    stored["flash"] |= {"format": 99, "version": "9.0"}
    write_folder(stored, "net")
    with pytest.raises(CheckpointError, match=r"net was written by flash-core 9\.0: pip install --upgrade flash-core"):
        flash.Task.from_pretrained("net")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", {"class": "os:system", "init": {}, "left_out": {}}),
        ("task", {"class": 3}),
        ("structure", [{"target": "os:system", "arguments": {"command": "touch ran"}, "dist": None, "version": None}]),
        ("structure", [3]),
        ("history", [{"epoch": "first"}]),
        ("preprocess", {"class": "../../evil:Evil", "init": {}, "left_out": {}}),
    ],
)
def test_a_description_of_something_else_runs_nothing(trainer: Any, name: str, value: Any) -> None:
    trained(trainer).save_pretrained("net")
    stored = read_checkpoint("net")
    stored["flash"][name] = value
    write_folder(stored, "net")
    with pytest.raises((CheckpointError, UnsafeCheckpointError)):
        flash.Task.from_pretrained("net").predict(X)
    assert not Path("ran").exists()


def test_a_checkpoint_of_another_program_in_a_folder_is_an_error() -> None:
    write_folder({"state_dict": {"a": torch.zeros(1)}}, "net")
    with pytest.raises(
        CheckpointError, match="Expected a checkpoint of a Flash task, but net is one of another program"
    ):
        flash.Task.from_pretrained("net")


def test_a_path_that_is_not_there_and_no_name_of_a_repository_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="at no such/folder/here, but there is no such file. Check the path"):
        flash.Task.from_pretrained("no such/folder/here")


def test_a_state_that_a_checkpoint_cannot_restore_is_an_error_before_it_is_written(tmp_path: Path) -> None:
    class Strange(flash.Task):
        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            super().on_save_checkpoint(checkpoint)
            checkpoint["state_dict"]["note"] = "text"

    with pytest.raises(CheckpointError, match="the metadata of this Strange is damaged: 'state_dict' is not what"):
        Strange(nn.Linear(1, 1)).save_pretrained(tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("method", ["fit", "validate", "test", "predict"])
def test_a_run_does_not_go_on_from_a_folder(trainer: Any, method: str) -> None:
    task = trained(trainer)
    task.save_pretrained("net")
    call = getattr(trainer(max_epochs=2), method)
    with pytest.raises(CheckpointError, match=r"folder of save_pretrained with flash\.Task\.from_pretrained\(folder\)"):
        call(task, datamodule=make_data(), ckpt_path="net")


# ---------------------------------------------------------------------- cards and processes


def test_the_card_of_an_owner_stays_and_ours_is_written_again(trainer: Any) -> None:
    task = trained(trainer)
    task.save_pretrained("net", scores={"test_accuracy": 0.25})
    card = Path("net/README.md")
    assert "| test\\_accuracy | 0.25 |" in card.read_text()
    task.save_pretrained("net", scores={"test_accuracy": 0.5})
    assert "| test\\_accuracy | 0.5 |" in card.read_text()
    card.write_text("# My own words")
    task.save_pretrained("net")
    assert card.read_text() == "# My own words"


@pytest.mark.parametrize("scores", [[{"test_accuracy": 0.5}], {"test_accuracy": "good"}, {3: 0.5}, 0.5])
def test_scores_that_are_no_numbers_by_name_are_an_error(scores: Any, trainer: Any) -> None:
    expected = (
        r"Expected scores as numbers by name, such as \{'test_accuracy': 0.9\}, but got .*\(task, datamodule=data\)\[0"
    )
    with pytest.raises(ConfigurationError, match=expected):
        trained(trainer).save_pretrained("net", scores=scores)
    assert not Path("net").exists()


def test_the_card_of_the_current_folder_has_its_name(
    trainer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    trained(trainer).save_pretrained(".")
    assert "flash.Task.from_pretrained('mine')" in Path("README.md").read_text()


def test_the_card_says_how_the_task_was_trained(trainer: Any) -> None:
    data = make_data()
    task = Net.from_data(data, num_classes=2, labels=["ants", "bées"], metrics=["accuracy"], learning_rate=0.125)
    trainer().finetune(task, data, strategy="freeze")
    task.save_pretrained("net")
    card = Path("net/README.md").read_text()
    for said in ("# Net", "| strategy | Freeze |", "| epochs | 1 |", "0.125", "'ants', 'bées'", "- accuracy"):
        assert said in card
    score = task.history[0]["val_accuracy"]
    assert f"{score:.4g}" in next(line for line in card.splitlines() if line.startswith("| 0 |"))


def test_of_several_processes_the_first_one_writes(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = trained(trainer)
    monkeypatch.setattr(Net, "global_rank", 1)
    task.save_pretrained("net")
    assert not Path("net").exists()


def test_a_file_in_the_place_of_the_folder_is_an_error(trainer: Any) -> None:
    Path("net").write_text("a file")
    with pytest.raises(CheckpointError, match="could not be written: .*choose another folder with save_pretrained"):
        trained(trainer).save_pretrained("net")


# ---------------------------------------------------------------------- the Hub


def test_a_task_is_pushed_and_loaded(trainer: Any, hub: Any) -> None:
    task = trained(trainer)
    url = task.push_to_hub("me/net", token=hub.token, scores={"test_accuracy": 0.75})
    assert url == f"{hub.endpoint}/me/net"
    files = hub.files("me/net")
    assert files.keys() == {"model.safetensors", "flash.json", "README.md"}
    assert b"flash.Task.from_pretrained('me/net')" in files["README.md"]
    assert b"0.75" in files["README.md"]
    for source in (flash.Task.from_pretrained("me/net"), flash.Task.load_from_checkpoint("me/net")):
        same(task, source)
        assert torch.equal(probabilities(task), probabilities(source))
    same(task, Net.from_pretrained("me/net", local_files_only=True))


def test_an_upload_without_connections_says_what_to_do(trainer: Any, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    expected = r"Expected a connection to .*, to upload to me/net, but connections are turned off. Unset HF_HUB_OFFLINE"
    with pytest.raises(DownloadError, match=expected):
        trained(trainer).push_to_hub("me/net", token=hub.token)
    assert hub.requests == []


@pytest.mark.parametrize("name", [None, "", "a b/c", "../net", "me/net/more"])
def test_what_is_no_name_of_a_repository_is_an_error_before_anything_is_written(
    name: Any, trainer: Any, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Net, "_save", None)
    with pytest.raises(ConfigurationError, match="Expected the name of a repository, such as 'owner/name', but got"):
        trained(trainer).push_to_hub(name)
    assert hub.requests == []


def test_a_branch_is_created_and_loaded_as_a_revision(trainer: Any, hub: Any, tmp_path: Path) -> None:
    one, other = trained(trainer), trained(trainer, learning_rate=0.5)
    one.push_to_hub("me/net", token=hub.token)
    other.push_to_hub("me/net", token=hub.token, revision="v2", commit_message="faster")
    same(one, Net.from_pretrained("me/net"))
    same(other, Net.from_pretrained("me/net", revision="v2", cache_dir=tmp_path / "mine"))
    same(other, Net.from_pretrained("me/net@v2"))
    same(one, Net.from_pretrained("me/net", revision=hub.branches["me/net"]["main"]))


def test_a_repository_is_private_if_it_is_asked_for(trainer: Any, hub: Any) -> None:
    task = trained(trainer)
    task.push_to_hub("me/open", token=hub.token)
    task.push_to_hub("me/net", token=hub.token, private=True)
    assert hub.private == {"me/net"}
    with pytest.raises(DownloadError, match="shows no such repository"):
        Net.from_pretrained("me/net")
    same(task, Net.from_pretrained("me/net", token=hub.token))


def test_the_card_that_an_owner_wrote_on_the_hub_stays(trainer: Any, hub: Any) -> None:
    task = trained(trainer)
    task.push_to_hub("me/net", token=hub.token)
    ours = hub.files("me/net")["README.md"]
    hub.commit("me/net", {"README.md": b"# My own words"})
    task.push_to_hub("me/net", token=hub.token)
    assert hub.files("me/net")["README.md"] == b"# My own words"
    hub.commit("me/net", {"README.md": ours.replace(b"Net", b"Old")})
    task.push_to_hub("me/net", token=hub.token)
    assert hub.files("me/net")["README.md"] == ours


def test_without_the_right_to_write_it_is_an_error(trainer: Any, hub: Any) -> None:
    task = trained(trainer)
    for token in (None, "hf_of_somebody_else"):
        with pytest.raises(
            DownloadError, match=r"the right to write to me/net, but http.* Log in with `hf auth login`"
        ):
            task.push_to_hub("me/net", token=token)
    assert hub.branches == {}


def test_a_hub_that_cannot_be_reached_or_fails_is_an_error(trainer: Any, hub: Any) -> None:
    task = trained(trainer)
    hub.status = 503
    with pytest.raises(DownloadError, match=r"answered with an error: .*503.* Try again later\."):
        task.push_to_hub("me/net", token=hub.token)
    hub.close()
    with pytest.raises(UnreachableError, match="cannot be reached .*Check the network.$"):
        task.push_to_hub("me/net", token=hub.token)


def test_a_name_that_no_repository_can_have_is_an_error(trainer: Any, hub: Any) -> None:
    with pytest.raises(ConfigurationError, match="Expected the name of a repository, such as 'owner/name', but got"):
        trained(trainer).push_to_hub("me/net/more", token=hub.token)


def test_of_several_processes_the_first_one_uploads(trainer: Any, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = trained(trainer)
    monkeypatch.setattr(Net, "global_rank", 1)
    assert task.push_to_hub("me/net", token=hub.token) == f"{hub.endpoint}/me/net"
    assert hub.requests == []


def test_damage_on_the_hub_names_the_repository(trainer: Any, hub: Any) -> None:
    trained(trainer).push_to_hub("me/net", token=hub.token)
    weights = hub.files("me/net")["model.safetensors"]
    hub.commit("me/net", {"model.safetensors": weights[:-1] + bytes([weights[-1] ^ 1])})
    with pytest.raises(CheckpointError, match="but me/net is damaged: model.safetensors is truncated or changed"):
        flash.Task.from_pretrained("me/net")


def test_a_checkpoint_and_a_copy_are_not_changed_by_saving(trainer: Any) -> None:
    task = trained(trainer)
    before = copy.deepcopy(dict(task.state_dict()))
    task.save_pretrained("net")
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    task.trainer.save_checkpoint("net.ckpt")
    write_checkpoint(read_checkpoint("net.ckpt"), "again.ckpt")
    same(task, flash.Task.load_from_checkpoint("again.ckpt"))
