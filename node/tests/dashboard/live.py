"""The page on a node that runs, at $ORRERY_URL, with its state in $ORRERY_STATE. Not found by name: it needs that node."""

import json
import os
import re
import socket

import pytest
from playwright.sync_api import expect

from waiting import until

WIDTHS = [360, 1400]


@pytest.fixture(scope="session")
def url():
    return os.environ["ORRERY_URL"]


def control(request):
    """Asks the node over its control socket, as its own commands do."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.join(os.environ["ORRERY_STATE"], "control.sock"))
        client.sendall(json.dumps(request).encode() + b"\n")
        client.shutdown(socket.SHUT_WR)
        return json.loads(b"".join(iter(lambda: client.recv(65536), b"")))


def number(page, selector):
    return int(page.locator(selector).inner_text().replace(",", ""))


def is_filled(page):
    expect(page.locator("#banner")).to_have_attribute("data-level", "ok")
    expect(page.locator("[role=treeitem]").first).to_be_visible()
    expect(page.locator(".event").first).to_be_visible(timeout=60_000)
    expect(page.locator("#assets-rows tr").first).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_shows_what_the_node_does(open_page, picture, url, width, dark):
    page = open_page(url=url, width=width, dark=dark)
    is_filled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    before = number(page, "#tip")
    until(page, lambda: number(page, "#tip") > before + 2)
    for row in ("sink/token_transfers", "sink/ledgers", "processor", "fetcher"):
        expect(page.locator(".actor-name", has_text=re.compile(f"^{row}$"))).to_have_count(1)
    expect(page.locator("#map .body")).to_have_count(1)
    expect(page.locator("#quarantine-empty")).to_be_visible()
    expect(page.locator("#feed-state")).to_have_text("Live")
    expect(page.locator(".note:visible")).to_have_count(0)
    picture(page)
    page.watched.check()


def test_a_filter_shows_only_what_matches(open_page, url):
    page = open_page(url=url)
    is_filled(page)
    page.get_by_role("checkbox", name="fee").check()
    expect(page.locator(".event .kind.fee").first).to_be_visible(timeout=60_000)
    expect(page.locator(".event .kind:not(.fee)")).to_have_count(0)
    page.locator(".event .from button").first.click()
    account = page.locator("#filter-account").input_value()
    expect(page.locator(".event").first).to_be_visible(timeout=60_000)
    expect(page.locator(f'.event .from button:not([title="Show only {account}"])')).to_have_count(0)
    page.watched.check()


def test_the_feed_goes_on_without_a_gap_after_a_pause(open_page, url):
    page = open_page(url=url)
    is_filled(page)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(2_000)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#feed-state")).to_have_text("Live")
    expect(page.locator(".ledger-head").nth(4)).to_be_visible(timeout=60_000)
    heads = page.locator(".ledger-head > :first-child").all_inner_texts()
    numbers = [int(head.replace("Ledger ", "").replace(",", "")) for head in heads]
    assert len(numbers) > 4
    assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))
    page.watched.check()


def test_an_actor_that_is_killed_is_shown_and_comes_back(open_page, picture, url):
    page = open_page(url=url)
    is_filled(page)
    answer = control({"op": "kill", "path": ["pipelines", "main", "processor"]})
    assert "done" in answer, answer
    expect(page.locator("#banner")).to_have_attribute("data-level", "warn")
    expect(page.locator("#problems")).to_contain_text("orrery inspect demo/pipelines/main")
    expect(page.locator(".row.trouble").first).to_be_visible()
    picture(page)
    page.locator(".actor-name", has_text=re.compile("^processor$")).click()
    expect(page.locator("#actor-body .lives").first).to_contain_text(re.compile(r"life \d+ began"))
    picture(page, "-actor", full=False)
    page.keyboard.press("Escape")
    expect(page.locator('.row:not([data-state="running"])')).to_have_count(0)
    page.watched.check()


def test_a_pipeline_that_is_parked_is_told_with_the_command_that_resumes_it(open_page, picture, url):
    page = open_page(url=url)
    expect(page.locator("[role=treeitem]").first).to_be_visible(timeout=60_000)
    assert "done" in control({"op": "park", "pipeline": "main"})
    expect(page.locator("#banner-headline")).to_have_text("Pipeline main is parked: it writes nothing until somebody acts")
    expect(page.locator("#problems")).to_contain_text("orrery resume main")
    assert page.title().startswith("Trouble")
    picture(page)
    assert "done" in control({"op": "resume", "pipeline": "main"})
    expect(page.locator("#problems .bad")).to_have_count(0)
    page.watched.check(network_may_fail=True)
