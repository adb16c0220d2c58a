"""Load an exported folder as a service does: nothing in it is executed, and what is damaged is an error at once."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from flash.core.prediction import preprocess_of
from flash.data.portable import Portable, named_specs
from flash.data.requests import RequestFields
from flash.errors import CheckpointError, ConfigurationError, DataError, FlashError
from flash.serialization import resolve_function
from flash.serialization.objects import provider_of

from .archives import check_archive
from .formats import PT2, Format, quiet
from .standalone.predict import Predictor, described

__all__ = ["DESCRIPTION", "ExportedTask", "describe_service", "load_export"]

#: The file that describes an exported folder.
DESCRIPTION = "export.json"

_SAMPLES = "encode_samples"
# A sample with which a folder is tried: values of its fields, or an image of one pixel.
_VALUES: dict[str, Any] = {"number": 0.0, "category": "a", "date": "2024-12-31", "text": "a"}
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# The size of the open dimensions of a first batch.
_FEW = 2


def describe_service(task: Any, portable: Portable, format: Format) -> dict[str, Any]:
    """Return what a service needs to know of a task besides its network, as JSON can hold it; or why there is none.

    Args:
        task: The task.
        portable: What its preprocess says.
        format: The format of the file.
    """
    if portable.encoder is None:
        return {"reason": portable.reason}
    specs = {} if portable.inputs is None else named_specs(portable.inputs)
    if not hasattr(importlib.import_module(portable.encoder), _SAMPLES):
        return {"reason": f"{portable.encoder} has no function {_SAMPLES}, which makes the inputs of a request"}
    try:
        fields = preprocess_of(task).request_fields().to_json()
    except FlashError as error:
        return {"reason": f"what a sample is in a request is not known: {error}"}
    modules = {"encoder": portable.encoder, "runner": format.runner}
    return {
        "title": type(task).__name__,
        "fields": fields,
        # Such as that of a detector, whose images differ in size.
        "takes_one": any(each.shape[:1] == (1,) for each in specs.values()),
        **{
            role: dict(zip(("module", "dist", "version"), (name, *provider_of(name)), strict=True))
            for role, name in modules.items()
        },
    }


class ExportedTask:
    """The networks of an exported folder, which predict samples as a request has them.

    Args:
        predictor: The folder's networks.
        title: The name of the class of the task.
        fields: What a sample is in a request.
        takes_one: Whether its networks take one sample at a time.
    """

    def __init__(self, predictor: Predictor, title: str, fields: RequestFields, takes_one: bool = False) -> None:
        self._predictor = predictor
        self.title = title
        self.fields = fields
        self.result = predictor.result
        self._takes_one = takes_one

    def predict(self, samples: Sequence[Any], outputs: Sequence[str | None] = (None,)) -> list[tuple[Any, ...]]:
        """Return the results of each sample, one per output.

        Args:
            samples: As the kind of ``fields`` says.
            outputs: ``"labels"``, ``"classes"``, ``"probabilities"``, ``"raw"``, or ``None`` for that of the task.

        Raises:
            DataError: If a sample is wrong.
        """
        if self._takes_one and len(samples) > 1:
            return [result for sample in samples for result in self.predict([sample], outputs)]
        found = self._predictor.run(self._predictor.encode(samples))
        return list(zip(*[self._predictor.results(found, each) for each in outputs], strict=True))


def load_export(folder: str | Path) -> ExportedTask:
    """Load a folder that ``task.export`` wrote, with the modules of installed packages, and run each network once.

    The programs in the folder are not used, and no pickle is read.

    Args:
        folder: The folder.

    Raises:
        CheckpointError: If it is damaged, was written by a later version, or cannot be served.
        UnsafeCheckpointError: If loading it would execute code.
        ConfigurationError: If a package that runs it is not installed.
    """
    path = Path(folder)
    with _explaining_damage(path):
        try:
            description = described(path, programs=False)
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        service = description.get("service", {"reason": "it was written by an earlier version"})
        if "reason" in service:
            raise CheckpointError(
                f"Expected an export that can be served, but {path} cannot be: {service['reason']}. Serve the "
                "checkpoint instead, or export it again."
            )
        _check_names(description)
        encoder, runner = _module(service["encoder"], _SAMPLES), _module(service["runner"], "load")
        if runner.__name__ == PT2.runner:
            for part in description["networks"].values():
                check_archive(path / part["file"])
        with quiet():
            # Tables in files are not read here.
            modules = {"encoder": encoder, "delimited": None, "json_table": None, "runner": runner}
            predictor = Predictor(path, modules)
        fields = RequestFields.from_json(service["fields"], getattr(encoder, "check_upload", None))
        exported = ExportedTask(predictor, str(service["title"]), fields, service.get("takes_one") is True)
        _try(exported, predictor)
        return exported


@contextlib.contextmanager
def _explaining_damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except FlashError:
        raise
    except ImportError as error:
        raise ConfigurationError(
            f"Expected what the export in {folder} needs to be installed, but {error.name} is not. Install it: pip "
            f'install {error.name}; for onnx: pip install "flash-export[onnx]".'
        ) from error
    # Runtimes raise errors of many types for a file that they cannot read.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:300]
        raise CheckpointError(
            f"Expected a folder that task.export wrote, but {folder} is damaged: {type(error).__name__}: {reason}. "
            "Copy it again, or export the task again."
        ) from error


def _check_names(description: Mapping[str, Any]) -> None:
    """Check that the networks are in files of the folder, whose checksums were compared."""
    for part in description["networks"].values():
        if part["file"] not in description["files"]:
            raise ValueError(f"{part['file']!r:.100} is no file of it")


def _module(described: Mapping[str, Any], function: str) -> ModuleType:
    """Return a module of an installed plugin, or of Flash, by its function; no other module is imported."""
    name = described["module"]
    is_known = provider_of(name)[0] is not None
    if is_known and importlib.util.find_spec(name) is not None:
        # What it imports itself may be missing.
        importlib.import_module(name)
    found = resolve_function({**described, "target": f"{name}:{function}"})
    # A function of that name in another module, such as numpy.load, might read pickles.
    if found.__module__ != name or (function == "load" and not is_known):
        raise ValueError(f"{name!r:.100} is no module that runs networks")
    return importlib.import_module(name)


def _try(exported: ExportedTask, predictor: Predictor) -> None:
    """Run each network on zeros, and predict a sample; compare the number of classes with that of their names."""
    result = predictor.result
    for name, part in predictor.description["networks"].items():
        inputs = {
            key: np.zeros([_FEW if isinstance(size, str) else size for size in spec["shape"]], dtype=spec["dtype"])
            for key, spec in part["inputs"].items()
        }
        found = predictor.networks[name](inputs)
        labels = result.get("labels")
        if result["kind"] == "classes" and labels is not None and found["probabilities"].shape[1] != len(labels):
            raise ValueError(f"there are {found['probabilities'].shape[1]} classes and {len(labels)} labels")
    sample = _example(exported.fields)
    if sample is not None:
        with contextlib.suppress(DataError):  # such as of a column whose texts are none of these
            exported.predict([sample])


def _example(fields: RequestFields) -> Any:
    """Return a sample as a request might have it; ``None`` if nothing is known of it."""
    if fields.kind == "table":
        return {each.name: _VALUES[each.type] if each.typical is None else each.typical for each in fields.fields}
    if fields.kind == "text":
        return tuple("a" for _ in fields.fields) or "a"
    return _PIXEL if fields.kind == "image" else None
