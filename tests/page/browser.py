"""The system's Chromium, driven by Playwright; tests that need it are skipped where it is absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.backends.report.page import write_page
from specgen.frontend.opened import Opened
from specgen.huggingface.select import select

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def opened(spec: str) -> tuple[Opened, Ledger]:
    table = select(spec).opened()
    return table, ledger(table.program())


def written(spec: str, folder: Path) -> Path:
    """The page of a table as a file."""
    table, base = opened(spec)
    path = folder / "report.html"
    path.write_text(write_page(base, table), encoding="utf-8")
    return path


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a network of its own."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="drives the page: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("drives the page: there is no chromium on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page that is looked at; `faults` are what it said or asked for that it must not."""

    def __init__(self, browser: Any, path: Path, fragment: str = "", **context: Any) -> None:
        self.faults: list[str] = []
        self.context = browser.new_context(**{"locale": "en-US", **context})
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.note("console", message.text))
        self.page.on("pageerror", lambda error: self.note("error", str(error)))
        self.page.on("request", lambda request: self.request(request.url, path))
        self.page.goto(f"{path.as_uri()}{fragment}")
        self.page.wait_for_selector(".hero .card")

    def note(self, kind: str, text: str) -> None:
        self.faults.append(f"{kind}: {text}")

    def request(self, url: str, path: Path) -> None:
        if url.partition("#")[0] != path.as_uri():
            self.note("request", url)

    def frame(self) -> None:
        """Waits until a change is drawn."""
        self.page.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def until(self, condition: str) -> None:
        """Waits for a condition in the page; its policy lets nobody wait with a script there."""
        for _ in range(100):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never: {condition}")

    def value(self, quantity: str) -> str:
        return self.page.inner_text(f'[data-quantity="{quantity}"] .value')

    def fill(self, name: str, value: str) -> None:
        self.page.fill(f"#param-{name}", value)
        self.frame()

    def close(self) -> None:
        self.context.close()
        assert not self.faults, self.faults
