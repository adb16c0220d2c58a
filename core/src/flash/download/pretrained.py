"""Models from the Hugging Face Hub or a folder: loaded whole, and without running code in their checkpoint.

The library of the models is imported by the caller, who passes its functions, such as ``AutoModel.from_pretrained``;
this module decides how they are called and what is an error. Weights are read from safetensors, or by torch as weights
only. A name of the Hub may end with a revision: ``"owner/name@v1.0"``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from flash.download._repository import hub_library
from flash.errors import CheckpointError, ConfigurationError, DownloadError

__all__ = [
    "HubError",
    "config_from_dict",
    "config_to_dict",
    "find_file",
    "import_library",
    "load_model",
    "load_part",
    "make_model",
    "read_json",
    "split_revision",
]


class HubError(DownloadError):
    """A checkpoint that is neither in a folder nor cached, and cannot be downloaded; or that is incomplete."""


def import_library(name: str, requirement: str, otherwise: str = "") -> Any:
    """Return the library of models of the Hub, for plugins that do not require it.

    Args:
        name: Its name.
        requirement: What is to be installed, such as ``"flash-birds[library]"``.
        otherwise: A sentence on what works without it.

    Raises:
        ConfigurationError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ConfigurationError(
            f"Expected {name} for a backbone of the Hugging Face hub, but it is not installed. Install it: pip install "
            f"{requirement!r}. {otherwise}".rstrip()
        ) from error


def split_revision(name_or_path: str | Path) -> tuple[str, str | None]:
    """Return the folder or the name on the Hub, and the revision (a branch, a tag or a commit) that follows the name.

    Raises:
        HubError: If it is a file.

    Example:
        >>> split_revision("owner/name@v1.0"), split_revision("owner/name")
        (('owner/name', 'v1.0'), ('owner/name', None))
    """
    name = str(name_or_path)
    folder = Path(name).expanduser()
    if folder.is_file():
        raise HubError(f"Expected a folder with a checkpoint, but {name!r} is a file. Pass the folder of the file.")
    if folder.is_dir():
        return str(folder), None
    name, _, revision = name.partition("@")
    return name, revision or None


def load_part(
    load: Callable[..., Any], what: str, name_or_path: str | Path, *, advice: str = "", **options: Any
) -> Any:
    """Call a function ``from_pretrained`` without running code in the checkpoint.

    Args:
        load: The function, such as ``AutoTokenizer.from_pretrained``.
        what: What it loads, for errors, such as ``"a tokenizer"``.
        name_or_path: A name on the Hub, with a revision or without, or a folder.
        advice: A sentence that ends the error of a checkpoint that cannot be found.
        options: More arguments of the function.

    Raises:
        HubError: If there is no such checkpoint, it is damaged, or it is not cached and the Hub cannot be reached.
        ConfigurationError: If it needs code of its own.

    Example:
        >>> load_part(lambda name, **options: (name, options), "a tokenizer", "owner/name")
        ('owner/name', {'trust_remote_code': False})
    """
    source, revision = split_revision(name_or_path)
    if revision is not None:
        options["revision"] = revision
    try:
        return load(source, trust_remote_code=False, **options)
    except Exception as error:  # the libraries and their dependencies raise many types
        if "trust_remote_code" in str(error):
            raise ConfigurationError(
                f"Expected a checkpoint of a model that the library has itself, but {str(name_or_path)!r} needs custom "
                "code, which is never run. Choose another one, or pass the network as a module."
            ) from error
        if Path(source).is_dir():
            raise _unusable_folder(what, source, error) from error
        raise _not_found(what, source, revision, error, advice) from error


def load_model(
    auto: Any,
    name_or_path: str | Path,
    config: Any,
    *,
    pretrained: bool = True,
    wanted: str = "a model of this kind",
    prepare: Callable[[Any], Any] | None = None,
    is_optional: Callable[[str], bool] | None = None,
    advice: str = "",
    **options: Any,
) -> Any:
    """Load a model with all its weights in torch's default float type, in training mode.

    Args:
        auto: The class that finds the model of a configuration, such as ``AutoModel``.
        name_or_path: As for :func:`load_part`.
        config: The configuration of the checkpoint.
        pretrained: Whether to load weights; otherwise they are random, to train from scratch.
        wanted: What the checkpoint should be of, for the error of one of another kind.
        prepare: Takes the model and returns the part whose weights are needed.
        is_optional: Takes the name of a weight; whether it may be missing, and is then random.
        advice: As for :func:`load_part`.
        options: More arguments of ``from_pretrained``.

    Raises:
        HubError: As for :func:`load_part`; also if weights are missing or do not fit.
        ConfigurationError: If there is no model of the kind for the checkpoint.
    """
    if not pretrained:
        return make_model(auto, config, wanted=wanted, prepare=prepare)

    def load(source: str, **given: Any) -> Any:
        return auto.from_pretrained(source, config=config, output_loading_info=True, weights_only=True, **given)

    with _quiet(auto):
        try:
            model, report = load_part(load, "weights", name_or_path, advice=advice, **options)
        except HubError as error:
            if "Unrecognized configuration class" in str(error.__cause__):
                raise _wrong_kind(config, wanted, error.__cause__) from error.__cause__
            raise
    if prepare is not None:
        model = prepare(model)
    parts = model.state_dict()
    # With ignore_mismatched_sizes=True, weights of another shape are random too.
    lost = {*report["missing_keys"], *(name for name, *_ in report.get("mismatched_keys", ()))}
    missing = sorted(name for name in lost if name in parts)
    missing = [name for name in missing if is_optional is None or not is_optional(name)]
    if missing:
        raise HubError(
            f"Expected weights for all of a {type(model).__name__} in {str(name_or_path)!r}, but {len(missing)} are "
            f"missing, such as {missing[0]!r}. Choose another checkpoint, or pretrained=False to train from scratch."
        )
    # A checkpoint may hold half-precision weights, which cannot be trained.
    return model.to(torch.get_default_dtype()).train()


def make_model(
    auto: Any, config: Any, *, wanted: str = "a model of this kind", prepare: Callable[[Any], Any] | None = None
) -> Any:
    """Make a model with random weights, in torch's default float type and in training mode.

    Args:
        auto: As for :func:`load_model`, like the others.
        config: Its configuration.
        wanted: What the configuration should be of.
        prepare: Takes the model and returns the part that is needed.

    Raises:
        ConfigurationError: If there is no model of the kind for the configuration.
    """
    try:
        model = auto.from_config(config, trust_remote_code=False)
    except ValueError as error:
        raise _wrong_kind(config, wanted, error) from error
    if prepare is not None:
        model = prepare(model)
    return model.to(torch.get_default_dtype()).train()


def find_file(name_or_path: str | Path, file: str) -> Path | None:
    """Return where an optional file of a checkpoint is, downloaded if need be.

    Args:
        name_or_path: As for :func:`load_part`.
        file: The path of the file in the checkpoint, such as ``"1_Pooling/config.json"``.

    Returns:
        Its path; ``None`` if there is no such file, or it cannot be downloaded.

    Example:
        >>> find_file(".", "no_such_file.json")
    """
    source, revision = split_revision(name_or_path)
    path = Path(source) / file
    if not Path(source).is_dir():
        hub = hub_library(f"the repository {source!r}")
        try:
            path = Path(hub.hf_hub_download(source, file, revision=revision))
        except (OSError, hub.errors.HfHubHTTPError, hub.errors.HFValidationError):
            return None
    return path if path.is_file() else None


def read_json(name_or_path: str | Path, file: str) -> dict[str, Any] | None:
    """Read an optional JSON file of a checkpoint.

    Args:
        name_or_path: As for :func:`load_part`.
        file: As for :func:`find_file`.

    Returns:
        Its content; ``None`` if there is no such file, or it cannot be downloaded.

    Raises:
        HubError: If the file is damaged.
    """
    path = find_file(name_or_path, file)
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HubError(
            f"Expected JSON in {path}, but got the error: {error}. Copy or download the checkpoint again."
        ) from error
    return found if isinstance(found, dict) else None


def config_to_dict(config: Any) -> dict[str, Any]:
    """Convert a configuration to a dict of serializable values, without the path that it was loaded from."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in values.items() if name not in ("_name_or_path", "name_or_path")}


def config_from_dict(library: Any, values: Mapping[str, Any]) -> Any:
    """Undo :func:`config_to_dict`.

    Args:
        library: The library, with the classes of its configurations as ``CONFIG_MAPPING``.
        values: What :func:`config_to_dict` returned.

    Raises:
        CheckpointError: If the installed library does not know the model.
    """
    known = library.CONFIG_MAPPING
    kind = str(values.get("model_type"))
    if kind not in known:
        raise CheckpointError(
            f"Expected a model that the installed {library.__name__} knows, but got {kind!r}: "
            f"pip install --upgrade {library.__name__}."
        )
    return known[kind].from_dict(dict(values))


# ---------------------------------------------------------------------- error messages


def _unusable_folder(what: str, name: str, error: Exception) -> HubError:
    return HubError(
        f"Expected {what} in the folder {name!r}, as save_pretrained saves it, but got the error: "
        f"{_first_line(error)} Copy or download the checkpoint again."
    )


def _not_found(what: str, name: str, revision: str | None, error: Exception, advice: str) -> HubError:
    of, option = ("", "") if revision is None else (f" at the revision {revision!r}", f" --revision {revision}")
    return HubError(
        f"Expected {what} for {name!r}{of}, but there is no such folder, it is not in the cache of the Hugging Face "
        f"hub, and it cannot be downloaded: {_first_line(error)} Where the hub can be reached, download it with `hf "
        f"download {name}{option} --local-dir FOLDER`; then pass the folder in place of the name. {advice}".rstrip()
    )


def _wrong_kind(config: Any, wanted: str, error: BaseException | None) -> ConfigurationError:
    return ConfigurationError(
        f"Expected the checkpoint of {wanted}, but got one of a {config.model_type!r} model "
        f"({_first_line(error)}). Choose another one."
    )


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet(auto: Any) -> Iterator[None]:
    """Disable the progress bar, and the warning about missing weights, for which an error is raised instead."""
    library = getattr(auto, "__module__", "").partition(".")[0]
    logging: Any = sys.modules.get(f"{library}.utils.logging")
    if logging is None:
        yield
        return
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
