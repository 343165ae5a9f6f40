"""A headless Chromium, driven through its DevTools protocol."""

import base64
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import websocket

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_PATIENCE = 60  # seconds


class Page:
    """One tab: what it asked for, what it complained about, what its scripts answer."""

    def __init__(self, url: str) -> None:
        self._socket = websocket.create_connection(url, timeout=_PATIENCE, suppress_origin=True)
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def open(self, place: Path | str, *, width: int = 1280, height: int = 900) -> None:
        """Load a file or a URL at this size (CSS pixels) and wait until its scripts have run."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._call("Page.navigate", url=place.as_uri() if isinstance(place, Path) else place)
        self._wait_for("Page.loadEventFired")
        self.run("typeof drawn === 'undefined' || drawn")  # a report draws its charts one after the other

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def prefer(self, scheme: str) -> None:
        """Make the reader's colour scheme ``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", features=[feature])

    def move(self, x: float, y: float) -> None:
        """Move the mouse there (CSS pixels of the window)."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse's left button at one point of the window and let it go at another."""
        button = {"button": "left", "clickCount": 1}
        self.move(*start)
        self._call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], **button)
        for share in (0.5, 1):
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self._call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **button)

    def download_to(self, folder: Path) -> None:
        """Let what the page saves go into ``folder``, without a question."""
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def print(self) -> bytes:
        """The page on paper, as PDF."""
        return base64.b64decode(self._call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def screenshot(self, path: Path) -> None:
        """The whole page, beyond the window's height, as PNG."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def picture(self, anchor: str, path: Path) -> None:
        """One element by its id, or with an empty one the window's content, as PNG."""
        box = "[0, 0, innerWidth, innerHeight]"
        if anchor:
            frame = f"document.getElementById({json.dumps(anchor)}).getBoundingClientRect()"
            box = f"(box => [box.x, box.y + scrollY, box.width, box.height])({frame})"
        clip = dict(zip(("x", "y", "width", "height"), self.run(box), strict=True), scale=1)
        shot = self._call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._socket.close()

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := self._read()).get("id") != number:
            pass
        assert "error" not in message, message["error"]
        return message["result"]

    def _wait_for(self, event: str) -> None:
        while self._read().get("method") != event:
            pass

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.complaints.append(told["entry"]["text"])
        return message


class Browser:
    """A running Chromium."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/json"

    @contextmanager
    def page(self) -> Iterator[Page]:
        """A new, empty tab."""
        with urlopen(Request(f"{self._address}/new", method="PUT"), timeout=_PATIENCE) as answer:
            tab = json.load(answer)
        page = Page(tab["webSocketDebuggerUrl"])
        try:
            yield page
        finally:
            page.close()


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Chromium with an empty profile folder; it ends with the block."""
    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Browser(_port(profile / "DevToolsActivePort", process))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port(told: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + _PATIENCE
    while not (told.exists() and told.read_text().count("\n")):
        assert process.poll() is None, "Chromium ended at its start"
        assert time.monotonic() < deadline, "Chromium does not answer"
        time.sleep(0.05)
    return int(told.read_text().splitlines()[0])
