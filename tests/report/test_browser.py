"""The report in a real browser: no sideways scrolling, no errors, no requests; skipped where chromium is missing."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from transferlab.answers.study import Missing, StudyAnswers
from transferlab.report.page import render

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-pipe",
]  # fmt: skip


class Browser:
    """A headless chromium, spoken to over its debugging pipe; what it tells by itself is kept in ``events``."""

    def __init__(self, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        words = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *words],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.out, self.into = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self.n_sent, self.session, self.events = 0, "", list[dict[str, Any]]()
        page = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.n_sent += 1
        message = {"id": self.n_sent, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.out.write(json.dumps(message).encode() + b"\0")
        self.out.flush()
        return self.wait(lambda answer: answer.get("id") == self.n_sent)["result"]

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            told = bytearray()
            while (byte := self.into.read(1)) != b"\0":
                assert byte, "the browser is gone"
                told += byte
            message = json.loads(told)
            if wanted(message):
                return message
            self.events.append(message)

    def show(self, page: Path, width_px: int) -> None:
        self.ask("Emulation.setDeviceMetricsOverride", width=width_px, height=900, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.wait(lambda event: event.get("method") == "Page.loadEventFired")

    def measure(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def picture(self) -> bytes:
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.into.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed here")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


WIDTHS = (1280, 390, 360)


@pytest.fixture
def page(study: StudyAnswers, tmp_path: Path) -> Path:
    missing = tuple(Missing("20", seed, "leaves", "the loss is not finite") for seed in range(3))
    render([study, replace(study, missing=missing)], tmp_path / "report.html", "html")
    return tmp_path / "report.html"


@pytest.fixture
def hostile_page(hostile_study: StudyAnswers, tmp_path: Path) -> Path:
    render([hostile_study], tmp_path / "hostile.html", "html")
    return tmp_path / "hostile.html"


def complaints(browser: Browser) -> list[str]:
    """Errors on the console, and whatever was asked for beside the page itself and the pictures in it."""
    logged = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening")
    told = [json.dumps(event["params"]) for event in browser.events if event["method"] in logged]
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    return told + [url for url in asked[1:] if not url.startswith("data:image/")]


@pytest.mark.parametrize("width_px", WIDTHS)
@pytest.mark.parametrize("which", ["page", "hostile_page"])
def test_the_page_fits_its_window_and_asks_for_nothing(
    which: str, width_px: int, browser: Browser, request: pytest.FixtureRequest
) -> None:
    browser.show(request.getfixturevalue(which), width_px)
    assert browser.measure("innerWidth") == width_px
    assert browser.measure("document.documentElement.scrollWidth") <= width_px
    assert browser.measure("document.body.scrollWidth") <= width_px
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth || i.getBoundingClientRect().width < 40)"
    assert browser.measure("document.images.length") >= 3
    assert browser.measure(f"{broken}.length") == 0
    assert complaints(browser) == []


@pytest.mark.parametrize("width_px", WIDTHS)
def test_nothing_is_cut_off_but_tables_which_scroll(width_px: int, page: Path, browser: Browser) -> None:
    browser.show(page, width_px)
    outside = """[...document.body.querySelectorAll("*")].filter(e => !e.closest(".scroll") &&
        e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.tagName)"""
    assert browser.measure(outside) == []
    overlapping = """[...document.querySelectorAll("main > section > *")].filter((e, i, all) => i &&
        all[i - 1].getBoundingClientRect().bottom > e.getBoundingClientRect().top + 0.5).map(e => e.tagName)"""
    assert browser.measure(overlapping) == []


def test_a_script_that_got_into_the_page_would_not_run(page: Path, browser: Browser) -> None:
    page.write_text(page.read_text().replace("</main>", '<script>document.title = "ran"</script></main>'))
    browser.show(page, 390)
    assert browser.measure("document.title") != "ran"
    assert any("Content Security Policy" in line for line in complaints(browser))
