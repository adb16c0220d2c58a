"""Headless Chromium through the pipe of its DevTools protocol, without a driver."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECONDS = 60


def find_chromium() -> str | None:
    """The path of Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Browser:
    """A page of Chromium that resolves no host name."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, self._send = os.pipe()
        self._receive, theirs_out = os.pipe()
        os.set_inheritable(theirs_in, True)
        os.set_inheritable(theirs_out, True)
        # The pipes have to be the file descriptors 3 and 4; the shell puts them there.
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
            *("--disable-dev-shm-usage", "--disable-extensions", "--disable-component-update", "--hide-scrollbars"),
            *(
                "--remote-debugging-pipe",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--user-data-dir={profile}",
            ),
        ]
        shell = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, program, *flags, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number = 0
        self._buffer = b""
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets", session=None)["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", session=None, targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, *, session: str | None = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; events that come before are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            block = os.read(self._receive, 1 << 20)
            assert block, "the browser ended"
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def open(self, page: Path | str, width: int = 1280, *, dark: bool = False) -> None:
        """Show a file or an address, at a width in pixels, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def evaluate(self, script: str) -> Any:
        """Run JavaScript in the page, and return its value."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Press and release the mouse on an element, as a person does."""
        script = f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{block: "center"}});
            const box = element.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        }})()"""
        x, y = self.evaluate(script)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def await_true(self, script: str) -> None:
        """Wait until an expression of JavaScript is true."""
        look = f"""new Promise((done, fail) => {{
            const end = performance.now() + 20000;
            const look = () => {{
                let is = false;
                try {{ is = Boolean({script}); }} catch {{}}
                if (is) done(true);
                else if (performance.now() > end) fail(new Error({json.dumps(script)} + " is not true"));
                else setTimeout(look, 10);
            }};
            look();
        }})"""
        self.evaluate(look)

    def requests(self) -> list[str]:
        """The addresses that were asked for, without those inside the page."""
        sent = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent if not each["request"]["url"].startswith("data:")]

    def errors(self) -> list[Mapping[str, Any]]:
        """What is in the console as a warning or an error."""
        logged = [event["params"] for event in self.events if event.get("method") == "Log.entryAdded"]
        thrown = [event["params"] for event in self.events if event.get("method") == "Runtime.exceptionThrown"]
        said = [event["params"] for event in self.events if event.get("method") == "Runtime.consoleAPICalled"]
        return [*logged, *thrown, *said]

    def screenshot(self, path: Path) -> None:
        """Save a picture of the whole page."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        """End the browser."""
        os.close(self._send)
        self._process.terminate()
        self._process.wait(_SECONDS)
        os.close(self._receive)
