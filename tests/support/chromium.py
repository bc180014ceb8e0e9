"""Headless Chromium with axe-core, for the tests of pages; ``.ci/browser`` fetches what is missing.

Where it has found everything, ``BROWSER_TESTS=required`` makes a failure of what would be skipped.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWS = {"light": ("light", DESK), "dark": ("dark", DESK), "phone": ("light", PHONE)}


def absent(what):
    """Skip a test for want of a tool, or fail it where the tool has to be there."""
    if os.environ.get("BROWSER_TESTS") == "required":
        pytest.fail(f"{what}, and BROWSER_TESTS=required")
    pytest.skip(f"{what}: run .ci/browser")


@contextmanager
def started():
    """Start a browser, and close it at the end."""
    try:
        from playwright import sync_api as library  # noqa: PLC0415  # it may not be installed
    except ImportError:
        absent("playwright is not installed")
    if CHROMIUM is None:
        absent("there is no chromium, and $CHROMIUM names none")
    with library.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def complaints_of_axe(page):
    """Return what axe-core finds wrong with a page."""
    if not AXE.exists():
        absent("there is no axe-core in node_modules")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(result => result.violations)")
    return [(v["id"], v["impact"], [n["html"][:200] for n in v["nodes"]]) for v in found]
