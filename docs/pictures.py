"""Draw the pictures of the pages again, with the code of the pages: ``python docs/pictures.py``.

A block of a page that saves ``name.png`` draws ``pictures/name.png``, which has few colors, so that the repository
stays small. ``run.svg`` is what a run prints. Needs flash-image, flash-tabular and flash-offline[image].
"""

from __future__ import annotations

import contextlib
import html
import io
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

DOCS = Path(__file__).resolve().parent
PAGES = ("image.md", "training.md", "figures.md")
BLOCK = re.compile(r"(?P<skip><!-- skip: [^\n]*-->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# What a page saves and shows.
PNG = re.compile(r"\(pictures/(\w+\.png)\)")
COLORS = 128
WIDTH = 600
# What stays of a run in the terminal: a line per module and per epoch, and which one was kept.
STAYS = re.compile(r"(backbone  |head  |Epoch \d+/\d+  |Kept ).*")


def draw(target: Path) -> list[Path]:
    """Run the pages, and write their pictures into a folder; return the files."""
    target.mkdir(exist_ok=True)
    files: list[Path] = []
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            lines = list(run(text, Path(page).stem))
            for name in dict.fromkeys(PNG.findall(text)):
                files.append(target / name)
                save_small(Path(name), files[-1])
            os.chdir(DOCS)
        if "(pictures/run.svg)" in text:
            files.append(target / "run.svg")
            files[-1].write_text(terminal(lines), encoding="utf-8")
    return files


def run(text: str, name: str) -> Iterator[str]:
    """Run the blocks of a page; yield the lines that its first run with ``keep_best`` prints."""
    import torch

    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": name}
    seen = False
    for found in BLOCK.finditer(text):
        if found["skip"]:
            continue
        with printed() as stream:
            exec(compile(found["code"], name, "exec"), names)
        if not seen and "keep_best" in found["code"]:
            seen = True
            yield from (line[0] for line in STAYS.finditer(stream.getvalue()))


@contextlib.contextmanager
def printed() -> Iterator[io.StringIO]:
    """Collect what is printed and logged by Flash, without the bars."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("flash").addHandler(handler)
    logging.getLogger("flash").setLevel(logging.INFO)
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(io.StringIO()):
            yield stream
    finally:
        logging.getLogger("flash").removeHandler(handler)


def save_small(source: Path, target: Path) -> None:
    """Save a picture with few colors, no wider than a page."""
    image = Image.open(source).convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    # Most of a picture may be gray, but titles are red and green.
    image.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)


def terminal(lines: Sequence[str], size: float = 13) -> str:
    """Return lines as a picture of a terminal, in SVG."""
    width = round(max(map(len, lines)) * size * 0.602 + 40)
    height = round((len(lines) + 0.6) * size * 1.5 + 24)
    rows = "\n".join(
        f'<text x="20" y="{30 + place * size * 1.5:.0f}" xml:space="preserve">{html.escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#1b1f24"/>\n'
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="{size}" '
        f'fill="#d6dde4">\n{rows}\n</g>\n</svg>\n'
    )


if __name__ == "__main__":
    # Nothing waits for a hub.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for file in draw(DOCS / "pictures"):
        print(f"{file.relative_to(DOCS)}: {file.stat().st_size / 1000:.0f} kB")
