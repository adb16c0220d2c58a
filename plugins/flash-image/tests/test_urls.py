"""Images and masks at URLs: fetched once, by every constructor, from a server on this machine."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch
from PIL import Image

from flash.errors import DataError, DownloadError
from flash.image import ImageClassificationData, ImageClassifier, SemanticSegmentationData

CONFIG: dict[str, Any] = {"input_size": (3, 8, 8), "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop_pct": 1.0}


class Site(ThreadingHTTPServer):
    """Answers with what is at a path, and counts how often it is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.asked: list[str] = []

    def put(self, path: str, content: bytes) -> str:
        self.contents[path] = content
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Any = self.server
        site.asked.append(self.path)
        content = site.contents.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def png(color: str | int, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (8, 8), color).save(file, format="PNG")
    return file.getvalue()


def test_every_constructor_and_predict_take_urls(site: Site, tiny: dict[str, Any]) -> None:
    urls = [site.put(f"/{name}.png?size=8", png(color)) for name, color in (("a", "red"), ("b", "blue"))]
    table = site.put("/train.csv", f"image,kind\n{urls[0]},warm\n{urls[1]},cold\n".encode())
    for data in (
        ImageClassificationData.from_files(urls, ["warm", "cold"], data_config=CONFIG),
        ImageClassificationData.from_csv("image", "kind", train_file=table, data_config=CONFIG),
    ):
        image, target = data.train_dataset[1]
        assert image[:, 3, 3].tolist() == [0, 0, 255]
        assert data.labels[int(target)] == "cold"
        _ = data.train_dataset[1]
    # Once a process, and again for nobody.
    assert site.asked.count("/b.png?size=8") == 1
    task = ImageClassifier(labels=["cold", "warm"], **tiny)
    images = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    assert task.predict(urls, "logits") == task.predict(images, "logits")


def test_masks_are_fetched_too(site: Site) -> None:
    images = [site.put(f"/{row}.png", png("red")) for row in range(2)]
    masks = [site.put(f"/mask{row}.png", png(row, "L")) for row in range(2)]
    data = SemanticSegmentationData.from_files(images, masks, data_config=CONFIG)
    assert torch.equal(data.train_dataset[1][1], torch.ones(8, 8, dtype=torch.uint8))


def test_what_is_not_there_or_is_no_image_is_named_or_left_out(site: Site) -> None:
    urls = [
        site.put("/ok.png", png("red")),
        site.put("/page.png", b"<html>Log in</html>"),
        site.put("/also.png", png("blue")),
    ]
    gone = f"http://127.0.0.1:{site.server_port}/gone.png"
    data = ImageClassificationData.from_files([*urls, gone], ["a", "b", "b", "a"], data_config=CONFIG)
    with pytest.raises(DataError, match=r"Expected an image, but http://127.*/page.png is of no format .*<html>Log in"):
        data.train_dataset[1]
    with pytest.raises(DownloadError, match=r"/gone.png: the server answered 404 Not Found"):
        data.train_dataset[3]
    kept = ImageClassificationData.from_files(
        [*urls, gone], ["a", "b", "b", "a"], data_config=CONFIG, on_bad_sample="skip"
    ).train_dataset
    assert len(kept) == 2
    assert [name.rpartition("/")[2] for name, _ in kept.bad_samples] == ["page.png", "gone.png"]
    assert kept[1][0][:, 3, 3].tolist() == [0, 0, 255]
