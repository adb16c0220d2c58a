"""A task behind LitServe, for ``serving.py``: run as a program, with checkpoint, kind of sample and port."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import torch

import flash

BATCH = 32


class Api(litserve.LitAPI):
    def __init__(self, checkpoint: str, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.checkpoint, self.kind = checkpoint, kind

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.task = flash.Task.load_from_checkpoint(self.checkpoint)

    # An annotation would be the type of the body for FastAPI.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        sample = next(iter(request.values()))[0]
        return base64.b64decode(sample) if self.kind == "image" else sample

    def predict(self, batch: Any) -> Any:
        samples = list(batch)
        found = self.task.predict(samples, "probabilities", batch_size=BATCH)
        labels = self.task.labels or []
        return [(labels[each.index(max(each))], dict(zip(labels, each, strict=True))) for each in found]

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output):  # type: ignore[no-untyped-def]
        return {"predictions": [{"prediction": output[0], "probabilities": output[1]}]}


if __name__ == "__main__":
    checkpoint, kind, port = sys.argv[1:]
    api = Api(checkpoint, kind, max_batch_size=BATCH, batch_timeout=0.0)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(port=int(port), log_level="warning")
