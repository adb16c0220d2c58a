"""An application of uvicorn that reads a request and answers a constant, for ``serving.py``: run with a port."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

ANSWER = b'{"predictions":[{"prediction":"no"}]}'
HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    while (await receive()).get("more_body", False):
        pass
    await send(HEAD)
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), lifespan="off", access_log=False, log_level="warning")
