"""Every Python block of the documentation runs as it stands.

The blocks of a file run in order and see what earlier ones defined, in a folder with ``train.csv``, ``val.csv``,
``test.csv`` (columns age, city, income, bought) and ``new.csv`` (the same without bought), and with pictures in
``train/``, ``val/`` and ``test/``, each with the folders ``ants`` and ``bees``, and in ``new/``; beside them are
``requests_train.csv`` and ``requests_test.csv`` of the examples (columns request, topic). Pretrained weights of a hub
are random ones here. The commands of ``flash`` in blocks of bash run as well. A comment on the line before a
block changes that:

- ``<!-- skip: reason -->``: the block does not run.
- ``<!-- setup: data -->``: a data module ``data`` is made first.
- ``<!-- setup: task -->``: ``data``, ``task`` and ``trainer`` are made first.

What a page says of a result is true. A block of text under the comment ``<!-- output -->``, after a block of Python,
is what that block prints. A comment behind an expression is its value, where the comment is a literal, such as
``task.predict("new.csv")  # ["no", "yes", ...]``. In both, ``...`` stands for anything, as in doctest: numbers differ
between machines.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib.util
import inspect
import io
import os
import random
import re
import shlex
import shutil
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

import flash
from flash.cli import main
from flash.plugins import hookspecs

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "core/README.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
# A block may be indented, as in a list, and then ends with a fence that is indented as well.
BLOCK = re.compile(
    r"(?:^[ ]*<!--[ ]*(?P<word>skip|setup):[ ]*(?P<rest>.*?)[ ]*-->[ ]*\n\s*?)?"
    r"^(?P<indent>[ ]*)```(?P<language>python|bash)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$"
    r"(?:\s*^[ ]*<!-- output -->[ ]*\n[ ]*```text\n(?P<output>.*?)^[ ]*```[ ]*$)?",
    re.MULTILINE | re.DOTALL,
)
FENCED = re.compile(r"^([ ]*)```(?P<language>[^\n]*)\n(?P<text>.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
LONGEST_LINE_OF_CODE = 80
LARGEST_PICTURE = 80_000
SETUPS = {
    "data": """
from flash.tabular import TabularClassificationData
data = TabularClassificationData.from_csv(
    target_fields="bought", train_file="train.csv", val_file="val.csv", test_file="test.csv", verbose=False
)
""",
    "task": """
from flash import Trainer
from flash.tabular import TabularClassificationData, TabularClassifier
data = TabularClassificationData.from_csv(
    target_fields="bought", train_file="train.csv", val_file="val.csv", test_file="test.csv", verbose=False
)
task = TabularClassifier.from_data(data, backbone="mlp")
trainer = Trainer(max_epochs=1)
trainer.finetune(task, data, strategy="no_freeze")
""",
}


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    line: int
    code: str
    skip: str = ""
    setup: str = ""
    output: str | None = None


def blocks_of(text: str, language: str = "python") -> Iterator[Block]:
    """The blocks of a page in a language, in their order."""
    for found in BLOCK.finditer(text):
        if found["language"] != language:
            continue
        indent = len(found["indent"])
        code = "".join(line[indent:] or "\n" for line in found["code"].splitlines(keepends=True))
        word = {found["word"]: found["rest"]} if found["word"] else {}
        yield Block(text.count("\n", 0, found.start("code")) + 1, code, output=found["output"], **word)


def pages_with_code() -> list[Path]:
    return [page for page in PAGES if page.is_file() and any(blocks_of(page.read_text()))]


def commands_of(page: Path) -> list[str]:
    """The commands of ``flash`` on a page, in their order, without comments."""
    blocks = [block.code.replace("\\\n", " ") for block in blocks_of(page.read_text(), "bash") if not block.skip]
    lines = [line.partition(" #")[0].strip() for code in blocks for line in code.splitlines()]
    return [line for line in lines if line.startswith("flash ")]


def run_page(page: Path) -> None:
    """Run the blocks of a page as one module, whose tracebacks name the page and its lines."""
    module = ModuleType(f"blocks_of_{page.stem.replace('-', '_')}")
    with pytest.MonkeyPatch.context() as patch:
        # Checkpoints and data loaders look for the module that defines a class.
        patch.setitem(sys.modules, module.__name__, module)
        for block in blocks_of(page.read_text()):
            if block.skip:
                continue
            if block.setup:
                exec(SETUPS[block.setup], module.__dict__)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                run_block(block, page, module.__dict__)
            if block.output is not None:
                check_output(block.output, printed.getvalue(), f"{page}:{block.line}")


def run_block(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a block, and compare the values of expressions with the literals in the comments behind them."""
    values = literals_behind(block.code)
    for statement in ast.parse("\n" * (block.line - 1) + block.code, str(page)).body:
        line = (statement.end_lineno or 0) - block.line + 1
        if isinstance(statement, ast.Expr) and line in values:
            value = eval(compile(ast.Expression(statement.value), str(page), "eval"), names)
            check_output(values[line], repr(value), f"{page}:{statement.lineno}")
        else:
            exec(compile(ast.Module([statement], []), str(page), "exec"), names)


def literals_behind(code: str) -> dict[int, str]:
    """The comments that are literals, as Python prints them, by line; ``...`` stays in them."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT and not token.line.lstrip().startswith("#"):
            with contextlib.suppress(ValueError, SyntaxError):
                literal = repr(ast.literal_eval(token.string.lstrip("# ")))
                found[token.start[0]] = literal.replace("Ellipsis", "...")
    return found


def check_output(expected: str, got: str, place: str) -> None:
    """Compare an output with what a page says of it, in which ``...`` stands for anything."""
    # Whitespace is not compared, so that a page can break long lines.
    same = doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert same, f"{place} says\n\n{expected}\nbut it is\n\n{got}"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with the tables that the documentation uses, in which the test works."""
    numbers = random.Random(0)
    for name, rows in (("train", 60), ("val", 20), ("test", 20), ("new", 5)):
        lines = ["age,city,income" + (",bought" if name != "new" else "")]
        for _ in range(rows):
            age, income = numbers.randint(18, 80), numbers.randint(15, 90) * 1000
            bought = "yes" if income > 50_000 else "no"
            target = f",{bought}" if name != "new" else ""
            lines.append(f"{age},{numbers.choice(['Rome', 'Oslo', 'Lima'])},{income}{target}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    for file in (ROOT / "examples" / "data").glob("requests_*.csv"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The same folder with the pictures that the documentation uses."""
    for stage, count in (("train", 8), ("val", 4), ("test", 4)):
        for name, colour in (("ants", "darkred"), ("bees", "gold")):
            folder = tmp_path / stage / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (60 + number, 50), colour).save(folder / f"{number}.jpg")
    (tmp_path / "new").mkdir()
    for number in range(3):
        Image.new("RGB", (50, 50), "gold").save(tmp_path / "new" / f"{number}.jpg")
    return tmp_path


@pytest.fixture
def _random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub can be reached: what would be its weights are random ones."""
    monkeypatch.setattr("flash.image.backbones.load_from_hub", lambda make, *_: make(pretrained=False))


@pytest.fixture
def texts(tmp_path: Path) -> Callable[[], None]:
    """Writes the tables of texts that the documentation uses, and tiny checkpoints named as well-known ones."""

    def write() -> None:
        reviews = [f"{word} film number {row},{label}" for row in range(20) for word, label in _REVIEWS]
        (tmp_path / "train.csv").write_text("\n".join(["review,sentiment", *reviews]) + "\n")
        pairs = [f"a {word} film,a {word}" for word, _ in _REVIEWS * 8]
        for name, columns in (("news", "document,summary"), ("sentences", "en,de")):
            (tmp_path / f"{name}.csv").write_text("\n".join([columns, *pairs]) + "\n")
        words = ["<pad>", "</s>", "<unk>", "a", "film", "number", *(word for word, _ in _REVIEWS)]
        backend = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
        backend.pre_tokenizer = Whitespace()
        backend.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
        )
        prefixes = {"summarization": {"prefix": "a "}, "translation_en_to_de": {"prefix": "a "}}
        t5: dict[str, Any] = {
            "d_model": 16,
            "d_kv": 4,
            "d_ff": 16,
            "num_layers": 1,
            "num_heads": 2,
            "decoder_start_token_id": 0,
            "task_specific_params": prefixes,
        }
        bert: dict[str, Any] = {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
        }
        for name, network in (
            ("prajjwal1/bert-tiny", BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=32, **bert))),
            (
                "google-t5/t5-small",
                T5ForConditionalGeneration(T5Config(vocab_size=len(words), **t5)),
            ),
        ):
            network.save_pretrained(tmp_path / name)
            tokenizer.save_pretrained(tmp_path / name)

    return write


@pytest.fixture
def sounds(tmp_path: Path) -> Callable[[], None]:
    """Writes recordings of a dog and of rain, in folders, in place of pictures."""

    def write() -> None:
        for number, folder in enumerate(("train/dog", "train/rain", "val/dog", "val/rain", "new")):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
            (tmp_path / folder).mkdir(parents=True)
            for place in range(6):
                noise = np.random.default_rng(10 * number + place).normal(0, 0.1, 4000)
                soundfile.write(tmp_path / folder / f"{place}.wav", noise if number % 2 else noise.cumsum() / 30, 8000)

    return write


_REVIEWS = [("great", "positive"), ("awful", "negative")]


@pytest.mark.train
@pytest.mark.usefixtures("pictures", "_random_weights")
@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_blocks_of_a_page_run(
    page: Path,
    tables: Path,
    texts: Callable[[], None],
    sounds: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if page.stem == "hub":
        monkeypatch.setenv("HF_TOKEN", request.getfixturevalue("hub").token)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    if page.parent.name == "flash-text" or page.stem == "text":
        texts()
    if page.parent.name == "flash-audio":
        sounds()
    torch.manual_seed(0)
    # Where a page leaves it to the trainer, that trains on the processor, and stops as a user's run does, but sooner.
    make = flash.Trainer.__init__
    usual = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    monkeypatch.setattr(flash.Trainer, "__init__", lambda self, **kwargs: make(self, **{**usual, **kwargs}))
    monkeypatch.setattr("flash.core.trainer._MOST_EPOCHS", 30)
    run_page(page)
    assert Path.cwd() == Path(os.path.realpath(tables))


def pages_with_outputs() -> list[Path]:
    return [page for page in PAGES if page.is_file() and "<!-- output -->" in page.read_text()]


@pytest.mark.parametrize("page", pages_with_outputs(), ids=lambda page: str(page.relative_to(ROOT)))
def test_each_output_of_a_page_is_next_after_a_block_that_runs(page: Path) -> None:
    text = page.read_text()
    compared = [block for block in blocks_of(text) if block.output is not None and not block.skip]
    assert len(compared) == text.count("<!-- output -->")


def long_lines_of_code(text: str) -> list[str]:
    """The lines of blocks of code that readers would have to scroll."""
    # The language of a directive of Sphinx begins with a brace; it is no code.
    blocks = [found["text"] for found in FENCED.finditer(text) if not found["language"].startswith("{")]
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if len(line) > LONGEST_LINE_OF_CODE]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.is_file()], ids=lambda page: str(page.relative_to(ROOT))
)
def test_code_of_a_page_is_read_without_scrolling(page: Path) -> None:
    assert not long_lines_of_code(page.read_text())


def test_a_line_that_scrolls_is_found_in_code_alone() -> None:
    wide = "x" * (LONGEST_LINE_OF_CODE + 1)
    assert long_lines_of_code(f"{wide}\n```python\n{wide[1:]}\n{wide}\n```\n{wide}\n") == [wide]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_have_words(page: Path) -> None:
    """Sphinx would take the title of the page, but GitHub shows nothing."""
    assert not re.findall(r"\[\]\([^)]*\)", page.read_text())


DRAWN = [file.name for file in (ROOT / "docs" / "pictures").iterdir()]


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_drawn_by_a_page_that_shows_it(name: str) -> None:
    """``docs/pictures.py`` runs the code of the pages; what a run prints is drawn by it."""
    pages = [page.read_text() for page in (ROOT / "docs").glob("*.md") if f"(pictures/{name})" in page.read_text()]
    assert any(f'savefig("{name}"' in text or (name == "run.svg" and "keep_best" in text) for text in pages)


@pytest.mark.slow
@pytest.mark.train
def test_the_pictures_are_drawn_again(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = module.draw(tmp_path / "pictures")
    assert sorted(file.name for file in files) == sorted(DRAWN)
    assert all(0 < file.stat().st_size < LARGEST_PICTURE for file in files)
    assert "Kept the weights of epoch" in (tmp_path / "pictures" / "run.svg").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_pictures_of_a_page_are_there_and_small(page: Path) -> None:
    for picture in PICTURE.findall(page.read_text()):
        assert 0 < (page.parent / picture).stat().st_size < LARGEST_PICTURE


@pytest.mark.train
@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands_of(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_commands_of_a_page_run_in_their_order(page: Path, tables: Path) -> None:
    for command in commands_of(page):
        assert main(shlex.split(command)[1:]) == 0, command
    assert Path.cwd() == Path(os.path.realpath(tables))


HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("flash_")}


@pytest.mark.parametrize("name", HOOKS)
def test_the_authoring_guide_gives_the_exact_signature_of_a_hook(name: str) -> None:
    signature = str(inspect.signature(HOOKS[name])).replace("'", "")
    assert f"`{name}{signature}`" in (ROOT / "docs" / "plugins.md").read_text()


def test_every_hook_is_looked_for_in_the_authoring_guide() -> None:
    assert HOOKS.keys() == hookspecs.RESULTS.keys()


def public_modules() -> Iterator[str]:
    """The modules of all packages that say what they offer, except packages that offer what their modules define."""
    for folder in [ROOT / "core" / "src", *ROOT.glob("plugins/*/src")]:
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            private = any(part.startswith("_") or part == "cli" for part in parts)
            if not private and re.search(r"^__all__ = ", file.read_text(), re.MULTILINE):
                yield ".".join(parts)


@pytest.mark.parametrize("module", sorted(public_modules()))
def test_a_public_module_is_in_the_reference(module: str) -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    assert f".. automodule:: {module}\n" in pages


@pytest.mark.parametrize("setup", SETUPS)
def test_what_a_page_can_ask_for_is_made(tables: Path, setup: str) -> None:
    names = {"data"} if setup == "data" else {"data", "task", "trainer"}
    (tables / "page.md").write_text(f"<!-- setup: {setup} -->\n```python\nassert set(dir()) >= {names}\n```\n")
    run_page(tables / "page.md")


def test_blocks_see_what_earlier_ones_defined_and_skipped_ones_do_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "1. A list:\n\n   ```python\n   if True:\n       first = 1\n   ```\n\n"
        "<!-- skip: needs an accelerator -->\n```python\nraise RuntimeError\n```\n\n"
        "```bash\nnot python\n```\n\n```python\nassert first == 1\nopen('seen', 'w').close()\n```\n"
    )
    run_page(page)
    assert Path("seen").exists()


def test_an_error_in_a_block_names_the_line_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nText.\n\n```python\nfine = True\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run_page(page)
    assert caught.traceback[-1].lineno + 1 == 7
    assert str(caught.traceback[-1].path) == str(page)


OUTPUT = "```python\nprint('loss', 0.25)\n```\n\n<!-- output -->\n```text\nloss {}\n```\n"


@pytest.mark.parametrize("said", ["0.25", "0.2...", "..."])
def test_an_output_that_is_true_passes(tmp_path: Path, said: str) -> None:
    (tmp_path / "page.md").write_text(OUTPUT.format(said))
    run_page(tmp_path / "page.md")


@pytest.mark.parametrize("said", ["0.5", "1...", "0.25 or so"])
def test_an_output_that_is_not_true_fails(tmp_path: Path, said: str) -> None:
    (tmp_path / "page.md").write_text(OUTPUT.format(said))
    with pytest.raises(AssertionError, match="page.md:2 says"):
        run_page(tmp_path / "page.md")


@pytest.mark.parametrize(
    ("expression", "is_true"),
    [
        ('["no", "yes"]  # ["no", "yes"]', True),
        ('["no", "yes", "no"]  # ["no", ...]', True),
        ("(1 +\n 1)  # 2", True),
        ("1 + 1  # one more", True),
        ("'#'  # '#'", True),
        ('["no", "yes"]  # ["no", "no"]', False),
        ('["no", "yes"]  # ["no"]', False),
        ("1 + 1  # 3", False),
    ],
)
def test_a_literal_behind_an_expression_is_its_value(tmp_path: Path, expression: str, is_true: bool) -> None:
    (tmp_path / "page.md").write_text(f"```python\nfirst = 1\n{expression}\n```\n")
    if is_true:
        run_page(tmp_path / "page.md")
        return
    with pytest.raises(AssertionError, match="page.md:3 says"):
        run_page(tmp_path / "page.md")
