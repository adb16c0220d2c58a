"""TaskHub: save a task as a folder for the Hub, load it from one, and push it; the same for every domain."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from typing_extensions import Self

import flash
from flash.core.callbacks import strategy_of
from flash.core.model_card import TaskFacts, is_written_by_flash, model_card
from flash.core.restoring import RUN_STATES, checked_metadata, load_task
from flash.data.messages import show
from flash.download import explaining_hub_errors, hub_library
from flash.errors import ConfigurationError
from flash.serialization import MapLocation, explaining_write_errors, write_folder
from flash.serialization.folders import CARD, DESCRIPTION, WEIGHTS

__all__ = ["TaskHub"]


class TaskHub:
    """Methods of a task that save it as a folder for the Hub, push it there, and load it.

    A folder holds what a checkpoint does, without the state of a run: ``model.safetensors``, ``flash.json``, and a
    model card in ``README.md``. They need ``pip install "flash-core[hub]"``.
    """

    def save_pretrained(self, folder: str | Path, *, scores: Mapping[str, float] | None = None) -> None:
        """Save the task with its preprocess as a folder for the Hub.

        What is in the folder is always the old task, or the complete new one; a ``README.md`` that somebody wrote
        stays. With several processes the first one writes.

        Args:
            folder: The folder, which is created.
            scores: Scores for the model card, by name, such as ``trainer.test(task, datamodule=data)[0]``.

        Raises:
            ConfigurationError: If safetensors is not installed, the folder has the weights of another program, or
                ``scores`` are no numbers by name.
            CheckpointError: If it cannot be written, or a weight cannot be stored; the old files are untouched.

        Example:
            >>> from torch import nn, zeros
            >>> class Regressor(flash.Task):
            ...     def __init__(self, inputs=2):
            ...         super().__init__(nn.Linear(inputs, 1))
            >>> Regressor().save_pretrained(folder := tempfile.mkdtemp())
            >>> Regressor.from_pretrained(folder).predict(zeros(1, 2))[0].shape
            torch.Size([1])
        """
        self._save(Path(folder), Path(folder).absolute().name, scores)

    def _save(self, folder: Path, source: str, scores: Mapping[str, float] | None) -> None:
        task = cast(Any, self)
        _check_scores(scores)
        checkpoint: dict[str, Any] = {"state_dict": task.state_dict()}
        task.on_save_checkpoint(checkpoint)
        description = {name: value for name, value in checkpoint["flash"].items() if name not in RUN_STATES}
        checkpoint = {"state_dict": checkpoint["state_dict"], "flash": description}
        checked_metadata(checkpoint, f"this {type(task).__name__}")
        if task.global_rank:
            return
        with explaining_write_errors(folder / CARD, folder_argument="save_pretrained(folder)"):
            keeps_card = (folder / CARD).is_file() and _is_own_card(folder / CARD)
        card = None if keeps_card else model_card(_facts_of(task, description), source, scores)
        write_folder(checkpoint, folder, card=card)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        map_location: MapLocation = "cpu",
        strict: bool = True,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        endpoint: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a task from a folder of :meth:`save_pretrained`, or from a repository of the Hub.

        As :meth:`flash.Task.load_from_checkpoint`, whose files it takes as well, it executes no code and needs no
        pretrained weights; called on :class:`flash.Task` itself, it finds the class of the stored task.

        Args:
            source: A folder; or, where nothing of that name is here, ``"owner/name"`` or ``"owner/name@revision"``.
            map_location: The device for the weights.
            strict: Whether missing or unexpected weights are an error.
            revision: A branch, a tag or a commit of the repository; by default the newest commit.
            cache_dir: The folder of downloaded files; by default that of huggingface_hub.
            token: A token, or whether to send the one of ``hf auth login``; by default it is sent if there is one.
            local_files_only: Whether to use downloaded files only.
            endpoint: The address of the Hub; by default that of ``HF_ENDPOINT``, or the public one.
            kwargs: Arguments of the constructor that replace the stored ones, such as a network that was passed as
                one. ``preprocess`` and ``postprocess`` are accepted by every task.

        Raises:
            CheckpointError: If there is no such folder, or it is damaged, or is not of a Flash task, or of another
                class, or of a plugin that is not installed.
            DownloadError: If the repository cannot be downloaded, and is not in the cache.
            ConfigurationError: If a package is not installed, or a revision of a folder is asked for.
        """
        return load_task(  # type: ignore[no-any-return]  # This class is a part of flash.Task.
            cast(Any, cls),
            flash.Task,
            source,
            map_location,
            strict,
            kwargs,
            "from_pretrained",
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            endpoint=endpoint,
        )

    def push_to_hub(
        self,
        repository: str,
        *,
        scores: Mapping[str, float] | None = None,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        token: str | bool | None = None,
        endpoint: str | None = None,
    ) -> str:
        """Upload the task to a repository of the Hub, which is created if there is none.

        A ``README.md`` that somebody wrote there stays. With several processes the first one uploads.

        Args:
            repository: ``"owner/name"``.
            scores: Scores for the model card, by name.
            private: Whether a repository that is created is private; by default as its owner decided.
            revision: The branch to upload to, which is created if there is none.
            commit_message: By default one that names the class of the task.
            token: A token that may write; by default that of ``hf auth login``.
            endpoint: The address of the Hub; by default that of ``HF_ENDPOINT``, or the public one.

        Returns:
            The URL of the repository.

        Raises:
            DownloadError: If the Hub cannot be reached, or refuses it.
            CheckpointError: If a weight cannot be stored.
            ConfigurationError: If a package is not installed, the name is none of a repository, or ``scores`` are no
                numbers by name.
        """
        hub = hub_library(f"the repository {repository!r}")
        endpoint = endpoint or hub.constants.ENDPOINT
        with explaining_hub_errors(repository, uploads=True):
            hub.utils.validate_repo_id(repository or "")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            self._save(folder, repository, scores)
            if cast(Any, self).global_rank:
                return f"{endpoint}/{repository}"
            with explaining_hub_errors(repository, revision=revision, endpoint=endpoint, uploads=True):
                api = hub.HfApi(endpoint=endpoint, token=token)
                options: dict[str, Any] = {} if private is None else {"private": private}
                url = api.create_repo(repository, exist_ok=True, **options)
                if revision is not None:
                    api.create_branch(url.repo_id, branch=revision, exist_ok=True)
                names = [WEIGHTS, DESCRIPTION]
                if not _has_own_card(api, url.repo_id, revision, folder / "downloaded"):
                    names.append(CARD)
                api.upload_folder(
                    repo_id=url.repo_id,
                    folder_path=folder,
                    allow_patterns=names,
                    revision=revision,
                    commit_message=commit_message or f"Upload a {type(self).__name__} of Flash",
                )
        return str(url)


def _check_scores(scores: Any) -> None:
    """Check that scores are numbers by name."""
    numbers = isinstance(scores, Mapping) and all(
        isinstance(name, str) and hasattr(value, "__float__") for name, value in scores.items()
    )
    if scores is not None and not numbers:
        raise ConfigurationError(
            f"Expected scores as numbers by name, such as {{'test_accuracy': 0.9}}, but got {show(scores)}. Of the "
            "list that trainer.test returns, pass an element: scores=trainer.test(task, datamodule=data)[0]."
        )


def _facts_of(task: Any, description: Mapping[str, Any]) -> TaskFacts:
    arguments = dict(task.recorded_arguments)
    trainer = task._trainer
    kept = (str, int, float, bool, list, tuple)
    return {
        "name": type(task).__name__,
        "task": description["task"],
        "data": {name: arguments[name] for name in task.data_facts if name in arguments},
        "arguments": {
            name: value
            for name, value in arguments.items()
            if name not in task.data_facts and isinstance(value, kept) and len(repr(value)) <= 100
        },
        "strategy": strategy_of(trainer) if isinstance(trainer, pl.Trainer) else None,
        "history": description["history"],
    }


def _has_own_card(api: Any, repository: str, revision: str | None, folder: Path) -> bool:
    """Return whether the repository has a card that its owner wrote."""
    files = [each.rfilename for each in api.model_info(repository, revision=revision).siblings or ()]
    if CARD not in files:
        return False
    return _is_own_card(Path(api.hf_hub_download(repository, CARD, revision=revision, local_dir=folder)))


def _is_own_card(card: Path) -> bool:
    """Return whether somebody wrote a card, rather than Flash."""
    return not is_written_by_flash(card.read_text(encoding="utf-8", errors="replace"))
