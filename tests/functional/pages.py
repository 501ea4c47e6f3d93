# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""HTML pages in a browser, and profiles from tests/tools/make_profile.c, which are the same every time."""

import subprocess
from pathlib import Path

from browser import Browser
from harness import TOOLS

DATASET = "return {...document.getElementById('canvas').dataset}"
LEFT_OF_CANVAS = "const box = document.getElementById('canvas').getBoundingClientRect(); return [box.x, box.y, box.width]"
ROW = 20


def make_profile(*args):
    return subprocess.run([TOOLS / "make_profile", *args], stdout=subprocess.PIPE, check=True).stdout


def write_profile(env, name, *args):
    path = Path(env.tmp, name)
    path.write_bytes(make_profile(*args))
    return path


class Page:
    """A page in a browser."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.open(path)
        browser.frame()

    def run(self, script, *arguments):
        return self.browser.run(script, *arguments)

    def text(self, id):
        return self.run("return document.getElementById(arguments[0]).textContent", id)

    def hidden(self, id):
        return self.run("return !document.getElementById(arguments[0]).checkVisibility()", id)

    def choose(self, id, value):
        """Chooses an option of a select element."""
        self.run("""const select = document.getElementById(arguments[0]);
            select.value = arguments[1];
            if (select.value !== arguments[1])
                throw Error("no such option: " + arguments[1]);
            select.dispatchEvent(new Event("change"))""", id, value)
        self.browser.frame()

    def finish(self, path):
        messages, requests = self.browser.console(), self.browser.requests()
        assert not messages, messages
        assert requests == [path.as_uri()], requests


class FlamePage(Page):
    """A flame graph in a browser. Its rows are numbered from the top, as they are seen."""

    def data(self):
        return self.run(DATASET)

    def at(self, share, row):
        x, y, width = self.browser.run(LEFT_OF_CANVAS)
        return x + share * width, y + (row + 0.5) * ROW

    def click(self, share, row):
        self.browser.click(*self.at(share, row))

    def press(self, *keys):
        self.browser.keys(*keys)
        return self.data()

    def color(self, share, row):
        """The pixel at the end of a frame's row, where text does not reach."""
        x, y = self.at(share, row)
        script = """const canvas = document.getElementById('canvas'), box = canvas.getBoundingClientRect();
            const scale = canvas.width / box.width, pixel = document.createElement('canvas').getContext('2d');
            pixel.drawImage(canvas, (box.x - arguments[0]) * scale, (box.y - arguments[1]) * scale);
            return [...pixel.getImageData(0, 0, 1, 1).data].join()"""
        return self.browser.run(script, x, y + 7)


def look_at(env, path, use, page=FlamePage, **kwargs):
    """Opens a file in a browser for use(page); fails for messages on its console and for any other request."""
    path = Path(path)
    with Browser(env.temp_dir("browser"), **kwargs) as browser:
        shown = page(browser, path)
        use(shown)
        shown.finish(path)
