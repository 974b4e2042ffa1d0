"""A browser for all tests, and for each a world, a server that plays it, and a page that is watched."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from stub_server import Stub, World

# A machine that builds and measures something else at the same time is slow.
expect.set_options(timeout=60_000)

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
# What a browser itself writes when a server refuses or is gone, which tests of such servers expect.
OF_THE_NETWORK = re.compile(r"Failed to load resource|WebSocket connection to")


@pytest.fixture(scope="session")
def browser():
    program = os.environ.get("ORRERY_CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def world():
    return World(every=0.4)


@pytest.fixture
def stub(world):
    stub = Stub(world)
    yield stub
    stub.stop()


class Watched:
    """A page, and all that it did that it should not."""

    def __init__(self, page, origin):
        self.page = page
        self.origin = origin
        self.faults = []
        self.hosts = set()
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))

    def console(self, message):
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def check(self, network_may_fail=False):
        """No console errors, and no request that left the page's origin."""
        faults = [fault for fault in self.faults if not (network_may_fail and OF_THE_NETWORK.search(fault))]
        assert faults == []
        assert self.hosts == {self.origin}


@pytest.fixture
def open_page(browser, stub):
    """Opens the page: `open_page(width=360, dark=True)`."""
    contexts = []

    def open_page(width=1400, height=900, dark=False, path="", url=None, **options):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        url = url or stub.url
        page.watched = Watched(page, urlsplit(url).netloc)
        page.goto(url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def picture(request):
    """Keeps a picture of the page for people, if $ORRERY_PICTURES names a folder."""
    folder = os.environ.get("ORRERY_PICTURES")

    def picture(page, name="", full=True):
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{request.node.name}{name}.png".replace("[", "-").replace("]", ""), full_page=full)

    return picture
