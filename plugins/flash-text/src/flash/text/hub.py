"""Checkpoints of the Hugging Face hub, by name or from a folder; missing weights are an error, never random.

Configurations and tokenizers are also converted to dicts of serializable values, which Flash checkpoints store.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from flash.errors import CheckpointError, ConfigurationError, DownloadError

__all__ = [
    "HubError",
    "Kind",
    "config_from_dict",
    "config_to_dict",
    "load_config",
    "load_model",
    "load_tokenizer",
    "make_model",
    "read_json",
    "tokenizer_from_dict",
    "tokenizer_to_dict",
]

#: The kind of a model: an encoder, or an encoder-decoder.
Kind = Literal["encoder", "seq2seq"]

_AUTO: dict[str, Any] = {"encoder": AutoModel, "seq2seq": AutoModelForSeq2SeqLM}
_SETTINGS = ("model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces")


class HubError(DownloadError):
    """A checkpoint that is neither in a folder nor cached, and cannot be downloaded; or that is incomplete."""


def load_config(name_or_path: str | Path) -> PretrainedConfig:
    """Load the configuration of a checkpoint.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.

    Raises:
        HubError: If there is no such checkpoint, or it is not cached and the hub cannot be reached.
    """
    config: PretrainedConfig = _load("a configuration", name_or_path, AutoConfig.from_pretrained)
    return config


def load_tokenizer(name_or_path: str | Path) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer of a checkpoint; a slow one is converted by transformers.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.

    Raises:
        HubError: As for :func:`load_config`.
        ConfigurationError: If the tokenizer has no fast version.
    """
    tokenizer: Any = _load("a tokenizer", name_or_path, AutoTokenizer.from_pretrained)
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigurationError(
            f"Expected a checkpoint with a fast tokenizer, but {str(name_or_path)!r} has only a "
            f"{type(tokenizer).__name__}. Save a tokenizer.json in its folder, or choose another checkpoint."
        )
    length = tokenizer.model_max_length
    if not isinstance(length, int | float) or not length >= 1:
        raise HubError(
            f"Expected the number of tokens that a text may have as model_max_length in the tokenizer_config.json of "
            f"{str(name_or_path)!r}, but got {length!r:.50}. Correct it, or copy or download the checkpoint again."
        )
    # If the vocabulary files are missing, transformers makes a tokenizer with special tokens only.
    if len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) < 2:
        raise HubError(
            f"Expected a tokenizer with a vocabulary for {str(name_or_path)!r}, but there are only special tokens: "
            "files such as tokenizer.json are missing. Copy or download the checkpoint again."
        )
    fast: PreTrainedTokenizerFast = tokenizer
    return fast


def load_model(name_or_path: str | Path, kind: Kind, pretrained: bool = True) -> PreTrainedModel:
    """Load a model with its weights in torch's default float type.

    Weights are read from safetensors, or from torch files without executing code in them.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.
        kind: ``"encoder"`` for token vectors (for an encoder-decoder, its encoder), ``"seq2seq"`` for an
            encoder-decoder that generates text.
        pretrained: Whether to load weights; otherwise they are random, to train from scratch.

    Raises:
        HubError: As for :func:`load_config`; also if weights are missing or do not fit.
        ConfigurationError: If there is no model of the kind for the checkpoint.
    """
    config = load_config(name_or_path)
    if not pretrained:
        return make_model(config, kind)
    with _quiet():
        load = _AUTO[kind].from_pretrained
        model, report = _load(
            "weights", name_or_path, load, kind=kind, config=config, output_loading_info=True, weights_only=True
        )
    model = _without_pooler(model)
    parts = model.state_dict()
    missing = sorted(name for name in report["missing_keys"] if name in parts)
    if missing:
        raise HubError(
            f"Expected weights for all of a {type(model).__name__} in {str(name_or_path)!r}, but {len(missing)} are "
            f"missing, such as {missing[0]!r}. Choose another checkpoint, or pretrained=False to train from scratch."
        )
    return _part(model, kind)


def make_model(config: PretrainedConfig, kind: Kind) -> PreTrainedModel:
    """Make a model with random weights.

    Args:
        config: Its configuration.
        kind: As for :func:`load_model`.

    Raises:
        ConfigurationError: If there is no model of the kind for the configuration.

    Example:
        >>> from transformers import BertConfig
        >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        >>> type(make_model(BertConfig(vocab_size=10, **sizes), "encoder")).__name__
        'BertModel'
    """
    try:
        model = _AUTO[kind].from_config(config, trust_remote_code=False)
    except ValueError as error:
        raise _wrong_kind(config, kind, error) from error
    return _part(_without_pooler(model), kind)


def _part(model: Any, kind: Kind) -> PreTrainedModel:
    if kind == "encoder" and model.config.is_encoder_decoder:
        model = model.get_encoder()
    # A checkpoint may hold half-precision weights, which cannot be trained.
    made: PreTrainedModel = model.to(torch.get_default_dtype()).train()
    return made


def _without_pooler(model: nn.Module) -> nn.Module:
    # The pooler was trained for another task, is missing in many checkpoints, and is not used here.
    if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
        model.pooler = None  # type: ignore[assignment]  # as with add_pooling_layer=False
    return model


def read_json(name_or_path: str | Path, file: str) -> dict[str, Any] | None:
    """Read an optional JSON file of a checkpoint.

    Args:
        name_or_path: A name on the Hugging Face hub, or a folder.
        file: The path of the file in the checkpoint, such as ``"1_Pooling/config.json"``.

    Returns:
        Its content; ``None`` if there is no such file, or it cannot be downloaded.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        path = folder / file
    else:
        try:
            path = Path(hf_hub_download(str(name_or_path), file))
        except (OSError, HfHubHTTPError, HFValidationError):
            return None
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HubError(
            f"Expected JSON in {path}, but got the error: {error}. Copy or download the checkpoint again."
        ) from error
    return found if isinstance(found, dict) else None


# ---------------------------------------------------------------------- serialization


def config_to_dict(config: PretrainedConfig) -> dict[str, Any]:
    """Convert a configuration to a dict of serializable values, without the path that it was loaded from."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in values.items() if name not in ("_name_or_path", "name_or_path")}


def config_from_dict(values: Mapping[str, Any]) -> PretrainedConfig:
    """Undo :func:`config_to_dict`.

    Raises:
        CheckpointError: If the installed transformers does not know the model.
    """
    kind = str(values.get("model_type"))
    if kind not in CONFIG_MAPPING:
        raise CheckpointError(
            f"Expected a model that the installed transformers knows, but got {kind!r}: "
            "pip install --upgrade transformers."
        )
    config: PretrainedConfig = CONFIG_MAPPING[kind].from_dict(dict(values))
    return config


def tokenizer_to_dict(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Convert a fast tokenizer to a dict of serializable values."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    settings = {name: getattr(tokenizer, name, None) for name in _SETTINGS}
    special = {name: _as_text(token) for name, token in tokenizer.special_tokens_map.items()}
    return {
        "tokenizer": backend.to_str(),
        "special_tokens": special,
        "settings": {name: value for name, value in settings.items() if value is not None},
    }


def tokenizer_from_dict(values: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    """Undo :func:`tokenizer_to_dict`, without files and without executing code."""
    make: Any = PreTrainedTokenizerFast  # its __init__ has no annotations
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=Tokenizer.from_str(values["tokenizer"]), **values["special_tokens"], **values["settings"]
    )
    return made


def _as_text(token: Any) -> Any:
    return [str(each) for each in token] if isinstance(token, list | tuple) else str(token)


# ---------------------------------------------------------------------- error messages


def _load(
    what: str, name_or_path: str | Path, load: Callable[..., Any], *, kind: Kind = "encoder", **options: Any
) -> Any:
    """Call ``from_pretrained`` without running code in the checkpoint; convert failures to errors with a remedy."""
    name = str(name_or_path)
    folder = Path(name).expanduser()
    if folder.is_file():
        raise HubError(f"Expected a folder with a checkpoint, but {name!r} is a file. Pass the folder of the file.")
    source = str(folder) if folder.is_dir() else name
    try:
        return load(source, trust_remote_code=False, **options)
    except Exception as error:  # transformers and its dependencies raise many types
        if "trust_remote_code" in str(error):
            raise ConfigurationError(
                f"Expected a checkpoint of a model that transformers has itself, but {name!r} needs custom code, "
                "which is never run. Choose another one, or pass the network as a module with tokenizer=..."
            ) from error
        if "config" in options and "Unrecognized configuration class" in str(error):
            raise _wrong_kind(options["config"], kind, error) from error
        raise (_unusable_folder if folder.is_dir() else _not_found)(what, name, error) from error


def _unusable_folder(what: str, name: str, error: Exception) -> HubError:
    return HubError(
        f"Expected {what} in the folder {name!r}, as save_pretrained of transformers saves it, but got the error: "
        f"{_first_line(error)} Copy or download the checkpoint again."
    )


def _not_found(what: str, name: str, error: Exception) -> HubError:
    return HubError(
        f"Expected {what} for {name!r}, but there is no such folder, it is not in the cache of the Hugging Face hub, "
        f"and it cannot be downloaded: {_first_line(error)} Where the hub can be reached, download it with `hf "
        f"download {name} --local-dir FOLDER`; then pass the folder in place of the name. For English, the package "
        "flash-offline has a backbone whose weights come with pip."
    )


def _wrong_kind(config: PretrainedConfig, kind: Kind, error: Exception) -> ConfigurationError:
    wanted = "an encoder-decoder, such as a T5 or BART" if kind == "seq2seq" else "a model that encodes text"
    return ConfigurationError(
        f"Expected the checkpoint of {wanted}, but got one of a {config.model_type!r} model "
        f"({_first_line(error)}). Choose another one."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Disable the progress bar, and the warning about missing weights, for which an error is raised instead."""
    logging: Any = transformers_logging  # its functions have no annotations
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
