# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Headless Chromium, driven through chromedriver's WebDriver protocol (W3C) with nothing but the standard library.

    with Browser(directory) as browser:
        browser.open(path_of_html_file)
        browser.click(10, 20)
        browser.keys("Enter")
        assert browser.run("return document.title") == "…"
        assert not browser.console() and not browser.requests()

Everything that the browser writes goes below `directory`.
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 30

# Code points of keys that are no characters (WebDriver, "Keyboard actions").
KEYS = {
    "Backspace": "\ue003", "Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004",
    "PageUp": "\ue00e", "PageDown": "\ue00f", "End": "\ue010", "Home": "\ue011",
    "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015",
}

ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
]


def find_program(name):
    path = shutil.which(name)
    if not path:
        raise RuntimeError(f"{name} is not installed: apt-get install chromium chromium-driver")
    return path


class Browser:
    def __init__(self, directory, width=1280, height=800):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = open(self.directory / "chromedriver.log", "w+")
        self.driver = subprocess.Popen(
            [find_program("chromedriver"), "--port=0"], stdout=self.log, stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(self.directory)}, start_new_session=True)
        self.session = None
        try:
            self.base = f"http://127.0.0.1:{self._port()}"
            self._start(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _port(self):
        """chromedriver chooses a free port and says which."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.driver.poll() is None:
            text = Path(self.log.name).read_text()
            port = re.search(r"started successfully on port (\d+)\.", text)
            if port:
                return int(port[1])
            time.sleep(0.05)
        raise RuntimeError("chromedriver did not start: " + Path(self.log.name).read_text())

    def _start(self, width, height):
        options = {"binary": find_program("chromium"),
                   "args": [*ARGUMENTS, f"--user-data-dir={self.directory / 'profile'}",
                            f"--window-size={width},{height}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.session = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.command("/url", {"url": "about:blank"})  # away from the start page, which makes requests

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()}") from None

    def command(self, path, body=None, method="POST"):
        return self._send(method, f"/session/{self.session}{path}", {} if body is None and method == "POST" else body)

    def close(self):
        if self.session:
            try:
                self.command("", method="DELETE")
            except (OSError, RuntimeError):
                pass
        if self.driver.poll() is None:
            os.killpg(self.driver.pid, signal.SIGKILL)
        self.driver.wait()
        self.log.close()

    def open(self, path, fragment=""):
        """Opens a local file; what console() and requests() returned before is forgotten."""
        self.console()
        self.requests()
        self.command("/url", {"url": Path(path).resolve().as_uri() + fragment})

    def run(self, script, *arguments):
        """Runs the body of a function in the page and returns what it returns."""
        return self.command("/execute/sync", {"script": script, "args": list(arguments)})

    def frame(self):
        """Waits until what was asked for is drawn."""
        script = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        self.command("/execute/async", {"script": script, "args": []})

    def _pointer(self, *actions):
        self.command("/actions", {"actions": [
            {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": list(actions)}]})
        self.frame()

    def move(self, x, y):
        self._pointer({"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0})

    def click(self, x, y):
        self._pointer({"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0},
                      {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0})

    def keys(self, *keys):
        """Presses keys: names of KEYS, or text character by character."""
        actions = []
        for key in keys:
            for character in [KEYS[key]] if key in KEYS else key:
                actions += [{"type": "keyDown", "value": character}, {"type": "keyUp", "value": character}]
        self.command("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})
        self.frame()

    def resize(self, width, height):
        self.command("/window/rect", {"width": width, "height": height})
        self.frame()

    def media(self, **features):
        """Emulates media features: media(prefers_color_scheme="dark")."""
        values = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.command("/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": values}})

    def screenshot(self, path):
        Path(path).write_bytes(base64.b64decode(self.command("/screenshot", method="GET")))

    def pdf(self, path):
        Path(path).write_bytes(base64.b64decode(self.command("/print", {"background": True})))

    def console(self):
        """Messages on the console since the last call."""
        return [entry["message"] for entry in self.command("/se/log", {"type": "browser"})]

    def requests(self):
        """Addresses that were requested since the last call."""
        urls = []
        for entry in self.command("/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                urls.append(message["params"]["request"]["url"])
        return urls
