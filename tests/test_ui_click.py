"""A person opens the page of a gated asset, clicks Materialize, and sees the run halted. Needs Chromium and chromedriver: `-m browser`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="chromedriver is not on the PATH")
def test_a_click_on_materialize_is_halted(tmp_path: Path) -> None:
    from tools.screenshots import materialize, play_to_day_6, webserver
    from tools.webdriver import browser

    home = tmp_path / "demo"
    play_to_day_6(home)
    with webserver(home) as url, browser() as opened:
        materialize(opened, url, "fraud_scores", "2026-06-06")
        opened.click("//a[contains(., 'View')] | //button[contains(., 'View')]")
        opened.find("//*[contains(text(), 'Halted: fraud_scores may not read credit_bureau [2026-06-06]')]", seconds=300)
        assert "/runs/" in opened.address()
