"""Predict with an exported task, without Flash: ``python predict.py INPUT [-o FILE] [--output probabilities]``.

The input is what ``task.predict`` takes as a path: a table, an image or a folder of images. ``export.json`` beside this
file describes the network and its inputs; ``runner.py`` runs it, and ``encoder.py`` makes its inputs.
"""

from __future__ import annotations

import argparse
import bz2
import contextlib
import gzip
import hashlib
import importlib.util
import itertools
import json
import lzma
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# UTF-32 first: its mark starts with that of UTF-16.
_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
#: The version of export.json; it is incremented when a program that reads it has to change.
VERSION = 1
_PROGRAMS = ("encoder", "delimited", "json_table", "runner")
_JSON_LINES = (".jsonl", ".ndjson")
_NO_TEXT = (".json", ".parquet", ".pq", ".xlsx", ".zip")
_TABS = (".tsv", ".tab")


class Table(dict[str, list[Any]]):
    """The columns of a table.

    Attributes:
        is_text: Whether the file has no types: all cells are text, or ``None`` if they are empty.
    """

    is_text = True


class Reader:
    """Reader that an encoder is given: the folder of the export, and tables.

    Args:
        folder: The folder.
        delimited: The module that parses delimited text.
        json_table: The module that parses JSON Lines.
        sep: The separator of delimited text; by default it is detected.
        encoding: The encoding of a table; by default that of its first bytes, or UTF-8.
    """

    def __init__(
        self, folder: Path, delimited: Any, json_table: Any, sep: str | None = None, encoding: str | None = None
    ) -> None:
        self.folder = folder
        self._delimited = delimited
        self._json_table = json_table
        self._sep = sep
        self._encoding = encoding

    def read_table(self, path: str) -> Table:
        """Return the columns of a delimited file, or of JSON Lines.

        Raises:
            ValueError: If it is of another format or encoding, or damaged.
        """
        file = Path(path)
        opener = _OPENERS.get(file.suffix.lower())
        suffix = Path(file.stem if opener else file.name).suffix.lower()
        if suffix in _NO_TEXT:
            raise ValueError(
                f"Expected a table of delimited text, such as CSV, or of JSON Lines, but got {path}. Convert it to one "
                "of these; task.predict reads Parquet too."
            )
        try:
            with opener(file, "rb") if opener else file.open("rb") as opened:
                content = opened.read()
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:  # it cannot be opened
                raise
            raise ValueError(f"Expected a compressed table in {path}, but it is damaged: {error}.") from error
        text = self._decoded(content, path)
        if suffix in _JSON_LINES:
            table = Table(self._json_table.parse_json(text, path, lines=True))
            table.is_text = False
            return table
        sep = self._sep or ("\t" if suffix in _TABS else None)
        return Table(self._delimited.parse_delimited(text, path, sep=sep))

    def _decoded(self, content: bytes, path: str) -> str:
        marked = next((code for mark, code in _MARKS.items() if content.startswith(mark)), "utf-8-sig")
        try:
            return content.decode(self._encoding or marked)
        except LookupError as error:
            raise ValueError(
                f"Expected encoding to be one that Python knows, such as 'cp1252', but got {self._encoding!r}."
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(
                f"Expected a table of {self._encoding or 'UTF-8'} text in {path}, but: {error}. Name its encoding, "
                "such as --encoding cp1252 (Excel in Western Europe)."
            ) from error


class Predictor:
    """An exported task.

    Args:
        folder: The folder of ``export.json``.
        modules: The modules ``encoder``, ``delimited``, ``json_table`` and ``runner``; by default those in the folder.

    Raises:
        ValueError: If the folder is damaged.
    """

    def __init__(self, folder: str | Path = Path(__file__).parent, modules: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.description = described(self.folder, programs=modules is None)
        self.result: dict[str, Any] = self.description["result"]
        if modules is None:
            modules = {name: _sibling(self.folder, name) for name in _PROGRAMS}
        self._encoder, runner = modules["encoder"], modules["runner"]
        self._tables = modules["delimited"], modules["json_table"]
        self._reader = Reader(self.folder, *self._tables)
        self.networks = {
            name: runner.load(str(self.folder / part["file"]), list(part["inputs"]), part["outputs"])
            for name, part in self.description["networks"].items()
        }

    def predict(self, source: str, output: str | None = None, batch_size: int = 64, **reading: str | None) -> list[Any]:
        """Return one result per sample of a source, in order.

        Args:
            source: The path of the input.
            output: ``"labels"``, ``"classes"`` or ``"probabilities"`` of classifiers, ``"raw"``, one that the encoder
                of the domain knows, or ``None``.
            batch_size: Samples per batch.
            reading: How to read a table: ``sep`` and ``encoding``, as :class:`Reader` takes them.

        Raises:
            ValueError: If the source cannot be read or encoded, or an argument makes no sense.
        """
        return [result for _, result in self.predict_each(source, output, batch_size, **reading)]

    def predict_each(
        self, source: str, output: str | None = None, batch_size: int = 64, **reading: str | None
    ) -> Iterator[tuple[Any, Any]]:
        """Yield the id and the result of each sample; the arguments are those of :meth:`predict`."""
        if batch_size < 1:
            raise ValueError(f"Expected batch_size to be a whole number of at least 1, but got {batch_size}.")
        settings = self.description["preprocess"]["settings"]
        reader = Reader(self.folder, *self._tables, **reading)
        for ids, inputs in self._encoder.batches(str(source), settings, reader, batch_size):
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
        if output != "raw" and self.result["kind"] != "raw" and hasattr(self._encoder, "results"):
            results: list[Any] = self._encoder.results(outputs, {**self.result, "output": output}, self._reader)
            return results
        rows = zip(*map(_rows, outputs.values()), strict=True)
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


def _rows(outputs: Any) -> list[Any]:
    """Return an output of each sample; those of different shapes are a list of arrays."""
    return [array.tolist() for array in outputs] if isinstance(outputs, list) else list(outputs.tolist())


def described(folder: Path, *, programs: bool = True) -> dict[str, Any]:
    """Return what ``export.json`` of a folder says, if it and all files of the folder are as they were written.

    Args:
        folder: The folder.
        programs: Whether the programs in the folder are used, and so have to be.

    Raises:
        ValueError: If a file is missing or was changed, or is of a later version.
    """
    try:
        content = (folder / "export.json").read_bytes()
        description: Any = json.loads(content.decode("utf-8"))
        version, files, own = description["version"], dict(description["files"]), description["sha256"]
        is_sound = own == checksum(description)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(_damaged(folder, f"export.json cannot be read ({type(error).__name__}: {error})")) from error
    if not is_sound:
        raise ValueError(_damaged(folder, "export.json was changed"))
    if version > VERSION:
        raise ValueError(
            f"Expected an export of version {VERSION} or older, but {folder} has version {version}: pip install "
            "--upgrade flash-export, or export again."
        )
    for name, wanted in files.items():
        if not programs and name.endswith(".py"):
            continue
        try:
            found = hashlib.sha256((folder / Path(name).name).read_bytes()).hexdigest()
        except OSError as error:
            raise ValueError(_damaged(folder, f"{name} cannot be read ({error.strerror})")) from error
        if found != wanted:
            raise ValueError(_damaged(folder, f"{name} was changed"))
    return dict(description)


def checksum(description: Mapping[str, Any]) -> str:
    """Return the checksum of ``export.json``.

    Args:
        description: What is in it; its own checksum is left out.
    """
    rest = {name: value for name, value in description.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _damaged(folder: Path, problem: str) -> str:
    return f"Expected a folder as task.export wrote it, but in {folder} {problem}. Copy it again, or export again."


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
    parser.add_argument("--sep", help="the separator of a table, if it is not detected")
    parser.add_argument("--encoding", help="the encoding of a table (default: UTF-8)")
    parser.add_argument("--batch_size", type=int, default=64, help="samples per batch (default: 64)")
    options = parser.parse_args(arguments)
    try:
        found = Predictor().predict_each(
            options.input, options.output, options.batch_size, sep=options.sep, encoding=options.encoding
        )
        _write(found, options.o)
    except BrokenPipeError:  # such as of ``| head``
        # Python would write what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        named = "" if error.filename is None else f" {error.filename}"
        sys.stderr.write(f"Expected a file that can be read or written, but{named} cannot be: {error.strerror}.\n")
        return 1
    except ImportError as error:
        needed = described(Path(__file__).parent)["preprocess"]["requires"]
        sys.stderr.write(f"Expected {error.name} to be installed: pip install {' '.join(needed)}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _write(found: Iterator[tuple[Any, Any]], target: str | None) -> None:
    """Write the results as JSON lines; a file is opened after the first batch, so that a wrong input leaves it."""
    first = next(found, None)
    with contextlib.ExitStack() as stack:
        if target is not None:
            file: Any = stack.enter_context(Path(target).open("w", encoding="utf-8"))
        else:
            file = sys.stdout
        for identifier, result in itertools.chain([] if first is None else [first], found):
            line = {"id": identifier, "prediction": result}
            file.write(_line(line, file.encoding or "ascii") + "\n")
        file.flush()


def _line(content: Mapping[str, Any], encoding: str) -> str:
    """Return a line of JSON; with escapes if it has characters that a screen, a pipe or a file cannot take."""
    line = json.dumps(content, ensure_ascii=False, default=lambda array: array.tolist())
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(content, default=lambda array: array.tolist())
    return line


if __name__ == "__main__":
    sys.exit(main())
