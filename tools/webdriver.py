"""Headless Chromium, driven through chromedriver's HTTP interface: open a page, click as a person would, look at what came of it."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # of the W3C WebDriver standard
TAB = "\ue004"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run"]


@dataclass(frozen=True)
class Browser:
    """One session. `find` takes XPath, and waits until the element is there."""

    url: str

    def open(self, page: str) -> None:
        _ask("POST", f"{self.url}/url", {"url": page})

    def resize(self, width: int, height: int) -> None:
        _ask("POST", f"{self.url}/window/rect", {"width": width, "height": height})

    def find(self, xpath: str, seconds: float = 60) -> str:
        """The first visible element. Raises AssertionError, with what the page says, where none comes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = _ask("POST", f"{self.url}/elements", {"using": "xpath", "value": xpath})
            for each in found:
                if _ask("GET", f"{self.url}/element/{each[ELEMENT]}/displayed"):
                    return str(each[ELEMENT])
            time.sleep(0.3)
        raise AssertionError(f"no {xpath} within {seconds:.0f} s on a page that says: {self.text()[:2000]}")

    def click(self, xpath: str) -> None:
        """Click the middle of an element, once it is there and nothing covers it."""
        for attempt in range(20):
            try:
                _ask("POST", f"{self.url}/element/{self.find(xpath)}/click", {})
            except RefusedByBrowser:  # covered by what is fading away, or drawn anew between the two questions
                if attempt == 19:
                    raise
                time.sleep(0.3)
            else:
                return

    def write(self, xpath: str, text: str) -> None:
        """Type into a field, and leave it."""
        _ask("POST", f"{self.url}/element/{self.find(xpath)}/value", {"text": f"{text}{TAB}"})

    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def run(self, script: str) -> Any:
        return _ask("POST", f"{self.url}/execute/sync", {"script": script, "args": []})

    def address(self) -> str:
        return str(_ask("GET", f"{self.url}/url"))

    def screenshot(self) -> bytes:
        return base64.b64decode(_ask("GET", f"{self.url}/screenshot"))


class RefusedByBrowser(Exception):
    """What chromedriver says where it cannot do what it was asked."""


@contextmanager
def browser(width: int = 1500, height: int = 1000, seconds: float = 60) -> Iterator[Browser]:
    """Needs `chromium` and `chromedriver` on the PATH."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        base = f"http://127.0.0.1:{port}"
        _wait(base, driver, seconds)
        options = {"args": [*ARGUMENTS, f"--window-size={width},{height}"]}
        made = _ask("POST", f"{base}/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        session = f"{base}/session/{made['sessionId']}"
        try:
            yield Browser(session)
        finally:
            _ask("DELETE", session)
    finally:
        driver.terminate()
        driver.wait(timeout=60)


def _wait(base: str, driver: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if driver.poll() is not None:
            raise RuntimeError(f"chromedriver ended with {driver.returncode}")
        try:
            if _ask("GET", f"{base}/status")["ready"]:
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError("chromedriver does not answer")


def _ask(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310  # our own driver
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise RefusedByBrowser(json.load(error)["value"]["message"]) from error
