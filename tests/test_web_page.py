"""The page in a real browser: Chromium, headless, at the size of a phone and of a desktop."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs starlette: pip install -r requirements-remote.txt")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -r requirements-remote.txt")
pytest.importorskip("selenium", reason="needs selenium: requirements-dev.txt")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    pytest.skip("needs chromium and chromedriver: apt install chromium chromium-driver", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402
from web_program import LABELS, SETTINGS, Program, make_event  # noqa: E402

from sinks.video_file import VideoFile  # noqa: E402
from web.server import WebServer  # noqa: E402

WAIT = 30.0  # seconds; generous, for a busy machine
TOKEN = "a-token-for-the-tests"
PHONE, DESKTOP = (390, 844), (1280, 800)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --autoplay-policy=no-user-gesture-required"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_page_load_timeout(WAIT)
    yield driver
    driver.quit()


class Folder:
    """A folder of clips."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, name: str) -> Path | None:
        return self.path / name if (self.path / name).exists() else None


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Program("demo", "rtsp://10.0.0.7/cam", size=(640, 480)) as program:
        yield program


@pytest.fixture
def server(program: Program, tmp_path: Path) -> Iterator[WebServer]:
    server = WebServer(program.instance, port=0, token=TOKEN, clips=Folder(tmp_path))
    for name in program.names:
        program.sinks[name] = server.sink(name)
    yield server
    program.sinks.clear()
    server.close()


def resize(browser: Any, size: tuple[int, int], scheme: str = "light") -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait_for(browser: Any, holds: Callable[[], Any]) -> Any:
    return WebDriverWait(browser, WAIT, 0.05).until(lambda _: holds())


def find(browser: Any, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser: Any, selector: str) -> list[str]:
    """Returns the texts of all elements; read at once, since the page replaces them."""
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    return browser.execute_script(script, selector)


def open_page(browser: Any, server: WebServer, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> None:
    resize(browser, size, scheme)
    browser.get("about:blank")
    browser.get_log("browser")  # what the page of the test before said
    browser.get(server.url)
    wait_for(browser, lambda: texts(browser, "#connection") == ["live"])
    wait_for(browser, lambda: browser.execute_script("return document.querySelector('#frame img')?.naturalWidth > 0"))
    wait_for(browser, lambda: texts(browser, "#bars .name"))


def screenshot(browser: Any, selector: str = "body") -> np.ndarray:
    png = find(browser, selector).screenshot_as_png
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def complaints(browser: Any) -> list[str]:
    """Returns what the browser's console complains of: scripts' errors, and what the security policy refused."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_page_shows_and_picture_changes(browser: Any, server: WebServer, size: tuple[int, int]) -> None:
    open_page(browser, server, size)
    assert TOKEN not in browser.current_url
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0]  # nothing to be scrolled sideways
    pictures = [screenshot(browser, "#frame img")]

    def changed() -> bool:
        pictures.append(screenshot(browser, "#frame img"))
        return np.abs(pictures[-1].astype(int) - pictures[0]).max() > 60

    wait_for(browser, changed)
    # The disc of Program.picture() is there, in its colour: BGR (80, 200, 240).
    assert (np.abs(pictures[-1].astype(int) - (80, 200, 240)).max(axis=2) < 25).mean() > 0.02
    names, shares = texts(browser, "#bars .name"), texts(browser, "#bars .share")
    assert len(names) == 3 and set(names) <= set(LABELS)
    assert all(re.fullmatch(r"\d{1,3} %", share) for share in shares)
    wait_for(browser, lambda: texts(browser, "#bars .share") != shares)
    facts = dict(zip(texts(browser, "#facts dt"), texts(browser, "#facts dd")))
    assert facts["camera"] == "30 fps" and facts["step"] == "12.3 ms" and facts["heat"] == "49 °C"
    assert complaints(browser) == []


def test_chart_is_drawn_in_the_colours_of_the_bars(browser: Any, server: WebServer) -> None:
    open_page(browser, server)
    wait_for(browser, lambda: len(texts(browser, "#legend li")) >= 3)
    bars = browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#bars li')].map((row) => "
        "[row.querySelector('.name').textContent, row.querySelector('.fill').style.backgroundColor]))"
    )
    keys = browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('#legend li')].map((row) => "
        "[row.textContent, row.querySelector('.key').style.backgroundColor]))"
    )
    common = set(bars) & set(keys)
    assert common and all(bars[label] == keys[label] for label in common)
    assert len(set(keys.values())) == len(keys)

    def drawn() -> bool:
        chart = screenshot(browser, "#chart").astype(int)
        colours = [tuple(map(int, re.findall(r"\d+", keys[label])))[::-1] for label in common]
        return all((np.abs(chart - colour).max(axis=2) < 12).sum() > 10 for colour in colours)

    wait_for(browser, drawn)


def test_other_source(browser: Any, server: WebServer, program: Program) -> None:
    open_page(browser, server)
    buttons = browser.find_elements(By.CSS_SELECTOR, "#sources button")
    assert [button.text for button in buttons] == list(program.names)
    assert program.sinks["demo"].wants_pictures and not program.sinks["rtsp://10.0.0.7/cam"].wants_pictures
    buttons[1].send_keys(Keys.ENTER)
    wait_for(browser, lambda: program.sinks["rtsp://10.0.0.7/cam"].wants_pictures)
    wait_for(browser, lambda: not program.sinks["demo"].wants_pictures)
    assert buttons[1].get_attribute("aria-pressed") == "true"
    browser.get("about:blank")
    wait_for(browser, lambda: not any(sink.wants_pictures for sink in program.sinks.values()))


def test_phone_shows_names_of_sources_and_paths_whole(browser: Any, tmp_path: Path) -> None:
    names = ["driveway.mp4", "kitchen-table.mp4", "workshop-door.mp4", "rtsp://10.0.0.7/cam"]
    with Program(*names) as program:
        server = WebServer(program.instance, port=0)
        for name in names:
            program.sinks[name] = server.sink(name)
        try:
            open_page(browser, server, PHONE)
            buttons = browser.find_elements(By.CSS_SELECTOR, "#sources button")
            assert [button.text for button in buttons] == names
            assert len({button.size["height"] for button in buttons}) == 1  # none is broken into lines
            assert all(button.rect["x"] + button.rect["width"] <= PHONE[0] for button in buttons)
            model = find(browser, "#setting-model")
            wait_for(browser, lambda: model.get_attribute("value") == SETTINGS["model"])
            assert browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", model)
        finally:
            program.sinks.clear()
            server.close()


def test_settings(browser: Any, server: WebServer, program: Program) -> None:
    open_page(browser, server, PHONE)
    wait_for(browser, lambda: find(browser, "#setting-top-k").get_attribute("value") == "3")
    apply = find(browser, "#apply button.main")
    assert not apply.is_displayed()
    find(browser, "#setting-top-k").send_keys(Keys.CONTROL, "a", Keys.NULL, "5")
    find(browser, "#setting-mirror").send_keys(Keys.SPACE)
    find(browser, "#setting-memory").send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE)
    find(browser, "#setting-allow").send_keys("yoga\nsquat\n")
    find(browser, "#setting-fit").send_keys("pad")
    wait_for(browser, apply.is_displayed)
    assert program.instance.settings() == SETTINGS  # not before it is applied
    apply.send_keys(Keys.ENTER)
    wanted = {**SETTINGS, "top-k": 5, "mirror": True, "memory": None, "allow": ["yoga", "squat"], "fit": "pad"}
    wait_for(browser, lambda: program.instance.settings() == wanted)
    wait_for(browser, lambda: not apply.is_displayed())
    wait_for(browser, lambda: len(texts(browser, "#bars .name")) == 5)
    # What is changed elsewhere shows here.
    program.instance.change({"fit": "stretch"}).result(WAIT)
    wait_for(browser, lambda: find(browser, "#setting-fit").get_attribute("value") == "stretch")


def test_refused_setting_is_said(browser: Any, server: WebServer, program: Program) -> None:
    open_page(browser, server)
    wait_for(browser, lambda: find(browser, "#setting-record").is_displayed())
    find(browser, "#setting-record").send_keys("/etc/out.mp4")
    find(browser, "#apply button.main").click()
    wait_for(browser, lambda: "without a folder" in find(browser, "#settings-error").text)
    find(browser, "#apply button[type=reset]").click()
    wait_for(browser, lambda: not find(browser, "#apply").is_displayed())
    assert find(browser, "#setting-record").get_attribute("value") == ""
    assert program.instance.settings() == SETTINGS


def test_events_and_their_clips(browser: Any, server: WebServer, program: Program, tmp_path: Path) -> None:
    video = VideoFile(str(tmp_path / "clip.mp4"), 10.0, None)
    for number in range(20):
        video.write(program.picture(number), number / 10, [])
    video.close()
    server.event(make_event(1, "yoga", clip="clip.mp4"))
    open_page(browser, server)
    wait_for(browser, lambda: texts(browser, "#events .name") == ["yoga"])
    hostile = "<img src=x onerror=alert(1)>"
    server.event(make_event(2, hostile, ongoing=True, clip="later.mp4"))
    wait_for(browser, lambda: texts(browser, "#events .name") == [hostile, "yoga"])  # newest first, as text
    assert texts(browser, "#events .badge") == ["now"]
    server.event(make_event(2, hostile, clip="later.mp4"))
    wait_for(browser, lambda: len(texts(browser, "#events button")) == 2)
    browser.find_elements(By.CSS_SELECTOR, "#events button")[1].click()
    playing = (
        "const video = document.querySelector('#video'); return [video.videoWidth, video.currentTime, video.error]"
    )
    wait_for(browser, lambda: browser.execute_script(playing)[:2] >= [640, 0.2])
    assert browser.execute_script(playing)[2] is None
    find(browser, "#player button").click()
    wait_for(browser, lambda: not find(browser, "#player").is_displayed())
    browser.find_elements(By.CSS_SELECTOR, "#events button")[0].click()
    wait_for(browser, lambda: "isn't there" in find(browser, "#player-error").text)
    browser.get_log("browser")  # the 404 just asked for


def test_reset_button(browser: Any, server: WebServer, program: Program) -> None:
    open_page(browser, server)
    find(browser, "#reset").click()
    wait_for(browser, lambda: program.resets == 1)
    wait_for(browser, lambda: "afresh" in find(browser, "#said").text)


def test_lost_connection_is_said_and_mended(browser: Any, program: Program) -> None:
    server = WebServer(program.instance, port=0)
    program.sinks["demo"] = server.sink("demo")
    open_page(browser, server)
    program.sinks.clear()
    server.close()
    wait_for(browser, lambda: texts(browser, "#connection") == ["connection lost"])
    again = WebServer(program.instance, port=int(server.url.rstrip("/").rpartition(":")[2]))
    try:
        program.sinks["demo"] = again.sink("demo")
        wait_for(browser, lambda: texts(browser, "#connection") == ["live"])
        wait_for(browser, lambda: program.sinks["demo"].wants_pictures)
    finally:
        program.sinks.clear()
        again.close()
        browser.get_log("browser")


def test_stranger_signs_in(browser: Any, server: WebServer) -> None:
    resize(browser, PHONE)
    base = server.url.partition("?")[0]
    browser.get(base)
    browser.delete_all_cookies()
    browser.get(base)
    assert "token" in find(browser, "body").text and not browser.find_elements(By.CSS_SELECTOR, ".wrong")
    find(browser, "#token").send_keys("a-wrong-token", Keys.ENTER)
    wait_for(browser, lambda: "a-wrong-token" in browser.current_url)
    assert "not the token" in find(browser, ".wrong").text
    find(browser, "#token").send_keys(TOKEN, Keys.ENTER)
    wait_for(browser, lambda: texts(browser, "#connection") == ["live"])
    assert TOKEN not in browser.current_url
    cookies = browser.get_cookies()
    assert len(cookies) == 1 and cookies[0]["httpOnly"] and cookies[0]["sameSite"] == "Strict"
    assert browser.execute_script("return document.cookie") == ""
    browser.get_log("browser")


def test_link_from_another_site_signs_in(browser: Any, server: WebServer, program: Program) -> None:
    # Another site, as a browser counts: localhost, while the server is 127.0.0.1.
    other = WebServer(program.instance, port=0)
    try:
        browser.get(other.url.replace("127.0.0.1", "localhost"))
        browser.execute_script("location = arguments[0]", server.url)
        wait_for(browser, lambda: browser.current_url == server.url.partition("?")[0])
        wait_for(browser, lambda: texts(browser, "#connection") == ["live"])
    finally:
        other.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(browser: Any, server: WebServer, scheme: str) -> None:
    """Every text has a contrast of 4.5 or more to what is behind it (WCAG 2.1, AA); every field has a name."""
    server.event(make_event(1, clip="clip.mp4"))
    server.event(make_event(2, ongoing=True))
    open_page(browser, server, DESKTOP, scheme)
    wait_for(browser, lambda: len(texts(browser, "#events li")) == 2)
    found = browser.execute_script(
        """
        const backing = (one) => {
          for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (!colour.endsWith(", 0)")) return colour;
          }
          return "rgb(255, 255, 255)";
        };
        const seen = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() &&
          [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
        return seen.map((one) => [one.textContent, getComputedStyle(one).color, backing(one)]);
        """
    )

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert len(found) > 30
    for text, front, back in found:
        high, low = sorted((luminance(front), luminance(back)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, front, back)
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('input, select, textarea, button')].filter((one) => "
        "!one.labels?.length && !one.textContent.trim() && !one.getAttribute('aria-label')).map((one) => one.outerHTML)"
    )
    assert nameless == []


def test_docs_page(browser: Any, server: WebServer) -> None:
    open_page(browser, server)
    browser.get(server.url.partition("?")[0] + "docs")
    page = find(browser, "body").text
    assert "PATCH /api/settings" in page and "how a frame becomes square" in page and "crop, stretch, pad" in page
    assert complaints(browser) == []


def test_nothing_comes_from_elsewhere() -> None:
    static = Path(__file__).resolve().parent.parent / "web" / "static"
    for path in static.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|innerHTML|eval\(", text), path.name
