"""The page on a node that asks who reads, at $ORRERY_URL, for which $ORRERY_TOKEN is good. Not found by name: it needs that node."""

import os

from playwright.sync_api import expect


def test_who_signs_in_sees_all_of_a_node_and_its_live_feed(open_page):
    page = open_page(url=os.environ["ORRERY_URL"])
    page.locator("#access-token").fill(os.environ["ORRERY_TOKEN"])
    page.locator("#access-token").press("Enter")
    expect(page.locator("#feed-state")).to_have_text("Live", timeout=60_000)
    expect(page.locator(".event").first).to_be_visible(timeout=60_000)
    expect(page.locator("[role=treeitem]").first).to_be_visible()
    expect(page.locator("#assets-rows tr").first).to_be_visible(timeout=60_000)
    page.watched.check(network_may_fail=True)
