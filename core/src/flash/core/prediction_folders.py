"""Write predictions to a folder: a file for each sample, named as the sample, in a new folder once all are complete."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from flash.core._prediction_parts import PredictionParts
from flash.data.process import Postprocess
from flash.errors import CheckpointError, ConfigurationError, DataError
from flash.serialization import explaining_write_errors, is_free, replacing

__all__ = ["PredictionFolder", "file_name"]


class PredictionFolder:
    """A folder with a file for each sample, as the hooks ``suffix_of`` and ``save_sample`` of a postprocess write it.

    The folder appears when it is complete: until then its files are in a folder of the name with ``.parts``, and an
    interrupted run goes on after them.

    Args:
        path: The folder, which does not exist yet or is empty.
        postprocess: It saves the results.
        run: Returns what predictions depend on, as JSON can hold it. Files of another run are not used.
        root: The folder that the ids of files are relative to.
        argument: Where the user chose the path, for error messages.

    Raises:
        ConfigurationError: If the folder has files, or the path is one.

    Example:
        >>> import tempfile
        >>> folder = PredictionFolder(Path(tempfile.mkdtemp()) / "out", Postprocess(), run=dict)
        >>> folder.begin(resume=False)
        True
        >>> folder.write([0, 1], ["a", "b"], [[0.5], [0.25]])
        >>> folder.finish()
        2
        >>> sorted(file.name for file in folder.path.iterdir())
        ['a.pt', 'b.pt']
    """

    def __init__(
        self,
        path: Path,
        postprocess: Postprocess,
        *,
        run: Callable[[], Mapping[str, Any]],
        root: Path | None = None,
        argument: str = "to=",
    ) -> None:
        self.path = path
        self._postprocess, self._root, self._argument = postprocess, root, argument
        self._saved = PredictionParts(path, run, argument)
        # Files are renamed to their place when they are complete; its names are in the list then.
        self._files, self._new = self._saved.folder / "files", self._saved.folder / "new"
        self._list = self._saved.folder / "files.jsonl"
        self._names: dict[str, None] = {}
        if not self._has_appeared():
            self._check_free()

    def begin(self, *, resume: bool) -> bool:
        """Go on after the files of an interrupted run, or begin.

        Args:
            resume: Whether to go on; otherwise those files are removed.

        Returns:
            ``False`` if there are files of another run, which are removed, or of a run that must not be resumed.

        Raises:
            CheckpointError: If another program is writing the folder.
            ConfigurationError: If the files that are there are of another run.
        """
        # Without its files, a list says nothing: the folder appeared, and somebody removed it.
        has_files = self._files.is_dir() or self._has_appeared()
        is_same = self._saved.begin(resume=resume and has_files, is_empty=lambda: not has_files or not self._listed())
        if not self._has_appeared():
            self._check_free()
        self._names = dict.fromkeys(self._listed())
        return is_same

    def first_missing(self) -> int:
        """Return the first sample that an interrupted run has no file of."""
        return len(self._names)

    def write(self, rows: Sequence[int], ids: Sequence[Any], results: Sequence[Any]) -> None:
        """Write the files of some samples, which come in the order of the samples.

        Args:
            rows: The places of the samples among all samples.
            ids: Their ids.
            results: Their predictions.

        Raises:
            DataError: If two samples have one name, or an id is no name of a file.
            CheckpointError: If a file cannot be written.
        """
        names = []
        for row, identifier, result in zip(rows, ids, results, strict=True):
            name = file_name(identifier, self._root) + self._postprocess.suffix_of(result)
            if name in self._names:
                raise DataError(
                    f"Expected inputs of different names, each with a file in {self.path}, but {name} is that of two, "
                    f"row {list(self._names).index(name)} and row {row}, {identifier}. Rename one."
                )
            self._names[name] = None
            names.append(name)
            with self._explaining():
                self._save(result, name)
        with self._explaining(), self._list.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(name) + "\n" for name in names)

    def save_part(self) -> None:
        """Do nothing: what is written is kept already."""

    def finish(self) -> int:
        """Let the folder appear, and return the number of its files.

        Raises:
            ConfigurationError: If there are files in its place by now.
            CheckpointError: If it cannot be written.
        """
        if not self._has_appeared():
            self._check_free()
            with self._explaining():
                self._create()
                self._list.touch()
                os.replace(self._files, self.path)  # noqa: PTH105  # onto an empty folder too
        self._saved.remove()
        return len(self._names)

    def _save(self, result: Any, name: str) -> None:
        self._create()
        written, target = self._new / f"file{PurePath(name).suffix}", self._files / name
        target.parent.mkdir(parents=True, exist_ok=True)
        self._postprocess.save_sample(result, str(written))
        written.replace(target)

    def _create(self) -> None:
        self._saved.create()
        self._files.mkdir(exist_ok=True)
        self._new.mkdir(exist_ok=True)

    def _listed(self) -> list[str]:
        """Return the names of the files that are complete, and forget one that a killed run was adding."""
        try:
            content = self._list.read_text(encoding="utf-8")
        except OSError:
            return []
        *lines, rest = content.split("\n")
        if rest:
            with replacing(self._list, "w", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in lines)
        return [json.loads(line) for line in lines]

    def _has_appeared(self) -> bool:
        """Return whether a run was killed after the folder had appeared, and before its parts were removed."""
        is_listed = self._saved.run_file.is_file() and self._list.is_file()
        # An empty folder was there before, and the files are gone.
        return is_listed and not self._files.exists() and self.path.is_dir() and any(self.path.iterdir())

    def _check_free(self) -> None:
        if not is_free(self.path):
            raise ConfigurationError(
                f"Expected {self._argument} to be a file, or a folder that does not exist yet or is empty, but "
                f"{self.path} is there. Remove it, or choose another one with {self._argument}."
            )

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        with explaining_write_errors(self.path, what="folder", folder_argument=self._argument):
            try:
                yield
            except CheckpointError as error:
                # What a postprocess says of its own folder is about another argument.
                raise error.__cause__ if isinstance(error.__cause__, OSError) else error from None


def file_name(identifier: Any, root: Path | None = None) -> str:
    """Return the name of the file of a sample, without a suffix: a relative path with ``/``.

    A file below ``root`` has its path there, another file its own name, and what is no file its id.

    Args:
        identifier: The id of the sample: a path, a number, or a value of a column.
        root: A folder.

    Raises:
        DataError: If the id is no name of a file.

    Example:
        >>> file_name("https://example.com/photos/2.jpg?size=9"), file_name(3), file_name("v1.5")
        ('2', '3', 'v1.5')
    """
    text = str(identifier)
    path = Path(text)
    name = PurePath(text)
    if "://" in text:
        name = PurePath(PurePath(text.partition("?")[0]).stem)
    elif path.is_file():
        is_inside = root is not None and path.is_relative_to(root)
        name = path.relative_to(root or "").with_suffix("") if is_inside else PurePath(path.stem)
    elif root is not None and (root / path).is_file():
        name = path.with_suffix("")
    if not name.parts or ".." in name.parts or name.is_absolute():
        raise DataError(
            f"Expected ids that are names of files, such as a/1.jpg or 17, but got {text!r}. Choose another column of "
            "ids (flash predict --id_field NAME), or write a table: -o predictions.csv."
        )
    return name.as_posix()
