"""WandbLogger: log to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flash.errors import ConfigurationError
from flash.solver.loggers.base import FolderLogger
from flash.solver.loggers.utils import add_prefix, flat_params, image_array, numeric_metrics, write_wav
from flash.solver.utils import explaining_write_errors

if TYPE_CHECKING:
    from flash.solver.xp import Experiment

__all__ = ["WandbLogger"]


class WandbLogger(FolderLogger):
    """Logs to Weights & Biases; ``WANDB_MODE=offline`` needs neither a key nor a network.

    The run is initialized on the first log call.

    Args:
        save_dir: The folder of its files.
        with_media_logging: Whether media are logged; metrics always are.
        project: The project's name.
        id: The run's id, to resume a run.
        group: The group of the run.
        reinit: As in ``wandb.init``.
        resume: As in ``wandb.init``; ``"allow"`` resumes the run with that id, if it exists.
        name: The run's name.
        kwargs: Further arguments of ``wandb.init``.
    """

    def __init__(
        self,
        save_dir: str | Path,
        with_media_logging: bool = True,
        project: str | None = None,
        id: str | None = None,
        group: str | None = None,
        reinit: bool = False,
        resume: bool | str = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(save_dir, with_media_logging, name)
        self._options: dict[str, Any] = {
            "project": project,
            "id": id,
            "group": group,
            "resume": resume or None,
            "name": name,
            **({"reinit": True} if reinit else {}),
            **kwargs,
        }
        self._run: Any = None
        self._wandb = _import_wandb()

    @classmethod
    def from_xp(  # type: ignore[override]  # the signature is that of Flashy
        cls,
        with_media_logging: bool = True,
        project: str | None = None,
        name: str | None = None,
        group: str | None = None,
        xp: Experiment | None = None,
        **kwargs: Any,
    ) -> WandbLogger:
        """Create a logger for an experiment, with its signature as the run's id, so that a restart resumes the run."""
        from flash.solver.xp import get_xp

        xp = xp or get_xp()
        flag = xp.folder / "wandb_flag"
        resume = "allow" if flag.exists() else False
        with explaining_write_errors(flag):
            xp.folder.mkdir(parents=True, exist_ok=True)
            flag.touch()
        options = {"id": xp.sig, "resume": resume, **kwargs}
        return cls(xp.folder, with_media_logging, project=project, group=group, name=name, **options)

    @property
    def writer(self) -> Any:
        """The run of ``wandb.init``, for direct use."""
        if self._run is None:
            with explaining_write_errors(self._save_dir):
                self._save_dir.mkdir(parents=True, exist_ok=True)
            self._run = self._wandb.init(dir=str(self._save_dir), **self._options)
        return self._run

    def log_hyperparams(self, params: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Log hyperparameters to the run's configuration."""
        self.writer.config.update(flat_params(params), allow_val_change=True)
        if metrics:
            self.writer.summary.update(numeric_metrics(metrics))

    def _log(self, content: dict[str, Any], step: int | None) -> None:
        self.writer.log(content if step is None else {**content, "epoch": step}, step=step)

    def log_metrics(self, prefix: str, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the numeric metrics."""
        self._log(add_prefix(numeric_metrics(metrics), prefix, self.group_separator), step)

    def log_audio(
        self, prefix: str, key: str, audio: Any, sample_rate: int, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log audio."""
        if self.with_media_logging:
            path = self._save_dir / "wandb_media" / f"{prefix}_{key}_{step}.wav".replace("/", "_")
            write_wav(path, audio, sample_rate)
            self._log({self._tag(prefix, key): self._wandb.Audio(str(path), sample_rate=sample_rate, **kwargs)}, step)

    def log_image(self, prefix: str, key: str, image: Any, step: int | None = None, **kwargs: Any) -> None:
        """Log an image."""
        if self.with_media_logging:
            pixels = image_array(image)
            pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
            self._log({self._tag(prefix, key): self._wandb.Image(pixels, **kwargs)}, step)

    def log_text(self, prefix: str, key: str, text: str, step: int | None = None, **kwargs: Any) -> None:
        """Log a text, as a table with one cell."""
        if self.with_media_logging:
            table = self._wandb.Table(columns=["text"], data=[[str(text)]])
            self._log({self._tag(prefix, key): table}, step)


def _import_wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise ConfigurationError(
            "Expected the package wandb for init_wandb, but it is not installed: pip install 'flash-solver[wandb]'."
        ) from error
    return wandb
