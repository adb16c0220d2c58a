"""Predict with an exported task, without Flash: ``python predict.py INPUT [-o OUTPUT] [--output probabilities]``.

The input is what ``task.predict`` takes as a path: a table, an image or a folder of images. ``export.json`` beside this
file describes the network and its inputs; ``runner.py`` runs it, and ``encoder.py`` makes its inputs.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import gzip
import importlib.util
import json
import lzma
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# UTF-32 first: its mark starts with that of UTF-16.
_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NO_TEXT = (".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".xlsx", ".zip")
_TABS = (".tsv", ".tab")


class Reader:
    """Reader that an encoder is given: the folder of the export, and tables."""

    def __init__(self, folder: Path, delimited: Any) -> None:
        self.folder = folder
        self._delimited = delimited

    def read_table(self, path: str) -> dict[str, list[str | None]]:
        """Return the columns of a delimited file as text; an empty cell is ``None``."""
        file = Path(path)
        opener = _OPENERS.get(file.suffix.lower())
        if file.name.lower().endswith(_NO_TEXT):
            raise ValueError(f"Expected a table of delimited text, such as CSV, but got {path}. Convert it to CSV.")
        with opener(file, "rb") if opener else file.open("rb") as opened:
            content = opened.read()
        encoding = next((code for mark, code in _MARKS.items() if content.startswith(mark)), "utf-8-sig")
        suffix = Path(file.stem).suffix if opener else file.suffix
        sep = "\t" if suffix.lower() in _TABS else None
        columns: dict[str, list[str | None]] = self._delimited.parse_delimited(content.decode(encoding), path, sep=sep)
        return columns


class Predictor:
    """An exported task.

    Args:
        folder: The folder of ``export.json``.
        modules: The modules ``encoder``, ``delimited`` and ``runner``; by default they are imported from the folder.
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, modules: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.description = json.loads((self.folder / "export.json").read_text(encoding="utf-8"))
        self.result: dict[str, Any] = self.description["result"]
        if modules is None:
            modules = {name: _sibling(self.folder, name) for name in ("encoder", "delimited", "runner")}
        self._encoder, runner = modules["encoder"], modules["runner"]
        self._reader = Reader(self.folder, modules["delimited"])
        self.networks = {
            name: runner.load(str(self.folder / part["file"]), list(part["inputs"]), part["outputs"])
            for name, part in self.description["networks"].items()
        }

    def predict(self, source: str, output: str | None = None, batch_size: int = 64) -> list[Any]:
        """Return one result per sample of a source, in order.

        Args:
            source: The path of the input.
            output: ``"labels"``, ``"classes"`` or ``"probabilities"`` of classifiers, ``"raw"``, or ``None``.
            batch_size: Samples per batch.
        """
        return [result for _, result in self.predict_each(source, output, batch_size)]

    def predict_each(self, source: str, output: str | None = None, batch_size: int = 64) -> Iterator[tuple[Any, Any]]:
        """Yield the id and the result of each sample."""
        settings = self.description["preprocess"]["settings"]
        for ids, inputs in self._encoder.batches(str(source), settings, self._reader, batch_size):
            yield from zip(ids, self.results(self.run(inputs), output), strict=True)

    def encode(self, samples: Sequence[Any]) -> dict[str, Any]:
        """Return the inputs of samples in memory, as a request has them."""
        inputs: dict[str, Any] = self._encoder.encode_samples(
            samples, self.description["preprocess"]["settings"], self._reader
        )
        return inputs

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs of the networks for a batch."""
        if hasattr(self._encoder, "run"):
            outputs: dict[str, Any] = self._encoder.run(self.networks, inputs, self.result)
            return outputs
        made: dict[str, Any] = self.networks["model"](inputs)
        return made

    def results(self, outputs: dict[str, Any], output: str | None = None) -> list[Any]:
        """Return one result per sample, given the outputs for a batch."""
        output = output or self.result.get("output")
        if output != "raw" and self.result["kind"] == "classes":
            return classes(outputs["probabilities"], self.result, output or "labels")
        if output != "raw" and self.result["kind"] == "numbers":
            values = outputs["values"]
            flat = values[:, 0] if values.ndim > 1 and values.shape[1] == 1 else values
            numbers: list[Any] = flat.tolist()
            return numbers
        if output != "raw" and hasattr(self._encoder, "results"):
            results: list[Any] = self._encoder.results(outputs, self.result, self._reader)
            return results
        rows = zip(*(array.tolist() for array in outputs.values()), strict=True)
        return [row[0] if len(outputs) == 1 else dict(zip(outputs, row, strict=True)) for row in rows]


def classes(probabilities: Any, result: Mapping[str, Any], output: str) -> list[Any]:
    """Return the labels, the indices or the probabilities of classes.

    Args:
        probabilities: Shape ``(samples, classes)``.
        result: ``labels``, ``multi_label`` and ``threshold``.
        output: ``"labels"``, ``"classes"`` or ``"probabilities"``.
    """
    if output == "probabilities":
        rows: list[Any] = probabilities.tolist()
        return rows
    if output not in ("labels", "classes"):
        raise ValueError(f"Expected output to be labels, classes, probabilities or raw, but got {output!r}.")
    names = result["labels"] if output == "labels" else None
    if result["multi_label"]:
        chosen = [np.flatnonzero(row > result["threshold"]).tolist() for row in probabilities]
        return chosen if names is None else [[names[place] for place in row] for row in chosen]
    places: list[Any] = probabilities.argmax(1).tolist()
    return places if names is None else [names[place] for place in places]


def _sibling(folder: Path, name: str) -> Any:
    """Import a file of the folder, under a name that no other export has."""
    path = folder / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"_exported_{abs(hash(folder.resolve()))}_{name}", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"Expected {path}, but it cannot be imported.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program, and return its exit code."""
    parser = argparse.ArgumentParser(description="Predict with an exported task.")
    parser.add_argument("input", metavar="INPUT", help="a table, an image, a folder of images, or a file of texts")
    parser.add_argument("-o", metavar="FILE", help="a file of JSON lines (default: the screen)")
    parser.add_argument("--output", help="labels, classes, probabilities or raw")
    parser.add_argument("--batch_size", type=int, default=64)
    options = parser.parse_args(arguments)
    found = Predictor().predict_each(options.input, options.output, options.batch_size)
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(Path(options.o).open("w", encoding="utf-8")) if options.o else sys.stdout
        try:
            for identifier, result in found:
                target.write(json.dumps({"id": identifier, "prediction": result}, ensure_ascii=False) + "\n")
        except (ValueError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
