"""Regions beside nodes: who has traffic, how far each is, and what is wrong, in words."""

import pytest
from playwright.sync_api import expect

from test_look import CONTRASTS


def region(name, own=False, **more):
    return {
        "region": name, "own": own, "traffic": own, "priority": 1 if own else 2, "weight": 100, "state": "stable", "why": "", "ready": True,
        "reasons": [], "version": "0.1.0", "tip": 53_312_040, "tip_closed_at": "2024-09-02T10:50:19Z", "lag_ledgers": None if own else 0,
        "lag_seconds": None if own else 0, "replica": None if own else "equal", "detail": None, "mode": None if own else "both",
        "heard_ms_ago": None if own else 400, "hears": [], "equal_slots": None, "bytes_copied": None, "differences": None, **more,
    }


def told(*regions, **more):
    return {"region": "eu", "traffic": True, "traffic_since_seconds": 9, "decision": None, "concerns": [], "told_seconds_ago": 0, "regions": list(regions), **more}


def test_a_cluster_that_is_the_only_region_shows_none(open_page):
    page = open_page()
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator("#regions")).to_be_hidden()
    page.watched.check()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1400])
def test_regions_are_drawn_with_their_links_and_who_has_traffic(open_page, world, picture, width, dark):
    world.regions = told(
        region("eu", own=True),
        region("us", lag_ledgers=-3, lag_seconds=-15),
        region("ap"),
        decision={"generation": 4, "to": "eu", "forced": False, "by": "ops", "reason": "drill"},
    )
    page = open_page(width=width, dark=dark)
    expect(page.locator("#regions-traffic")).to_have_text("traffic: eu")
    expect(page.locator("#regions-decision")).to_have_text("Decided by ops: region eu (drill).")
    expect(page.locator("#regions-map .body")).to_have_count(3)
    expect(page.locator("#regions-map .body.sun")).to_have_count(1)
    expect(page.locator("#regions-map line")).to_have_count(2)
    expect(page.locator("#regions-map")).to_contain_text("3 ledgers, 15 s behind")
    expect(page.locator("#regions-rows tr").nth(2)).to_contain_text("level")
    expect(page.locator("#banner")).to_have_attribute("data-level", "ok")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CONTRASTS)["poor"] == []
    picture(page)
    page.watched.check()


def test_what_is_wrong_with_regions_is_said_in_words(open_page, world, picture):
    world.regions = told(
        region("eu", own=True),
        region("us", state="unheard", why="not heard for 9 s", replica="unheard", heard_ms_ago=9_400, lag_ledgers=None),
        region("ap", replica="different", detail="slot 812 of token_transfers differs"),
        concerns=["eu and ap have traffic at once: what they serve is equal"],
    )
    page = open_page()
    expect(page.locator("#banner")).to_have_attribute("data-level", "bad")
    expect(page.locator("#banner-headline")).to_have_text("Region ap and this one are not equal")
    problems = page.locator("#problems")
    expect(problems).to_contain_text("slot 812 of token_transfers differs")
    expect(problems).to_contain_text("Region us is not heard")
    expect(problems).to_contain_text("not heard for 9 s")
    expect(problems).to_contain_text("eu and ap have traffic at once")
    expect(page.locator("#regions-map line.down")).to_have_count(2)
    expect(page.locator("#regions-map")).to_contain_text("not heard")
    picture(page)
    # All is well again: the page says so by itself.
    world.regions = told(region("eu", own=True), region("us"), region("ap"))
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator("#regions-map line.down")).to_have_count(0)
    page.watched.check()
