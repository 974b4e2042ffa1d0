"""The page can be read: in both themes, on a phone, with a keyboard, by a screen reader."""

import pytest
from playwright.sync_api import expect

# Ratio of contrast of all text that is seen, as WCAG 2 reckons it, against the first opaque ground under it.
CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const of = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * of(r) + 0.7152 * of(g) + 0.0722 * of(b);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility() || element.closest(".unseen, svg, noscript")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < 4.5) poor.push(`${texts.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return { seen, poor };
}"""

# Controls without a name, ids that are there twice, and references to nowhere.
UNNAMED = """() => {
  const found = [];
  for (const control of document.querySelectorAll("button, input, a, [role=treeitem], dialog, section, img, svg[role=img]")) {
    const label = control.getAttribute("aria-label") ?? control.labels?.[0]?.textContent ?? control.getAttribute("alt") ?? "";
    const by = control.getAttribute("aria-labelledby");
    const name = by ? (document.getElementById(by)?.textContent ?? "") : label || control.textContent;
    if (!name.trim() && !control.closest("[hidden], dialog") && !(control.getAttribute("alt") === "")) found.push(control.outerHTML.slice(0, 90));
  }
  for (const [attribute] of [["aria-labelledby"], ["aria-describedby"], ["list"]]) {
    for (const one of document.querySelectorAll(`[${attribute}]`)) if (!document.getElementById(one.getAttribute(attribute))) found.push(one.outerHTML.slice(0, 90));
  }
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  return found.concat(ids.filter((id, index) => ids.indexOf(id) !== index));
}"""


def is_filled(page):
    expect(page.locator("#banner")).to_have_attribute("data-level", "ok")
    expect(page.locator("[role=treeitem]").first).to_be_visible()
    expect(page.locator("#assets-rows tr").first).to_be_visible()
    expect(page.locator(".event").first).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_fits_and_can_be_read(open_page, picture, width, dark):
    page = open_page(width=width, dark=dark)
    is_filled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.querySelectorAll('.scroll, .panel, .tile')].filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)") == []
    contrasts = page.evaluate(CONTRASTS)
    assert contrasts["seen"] > 100
    assert contrasts["poor"] == []
    picture(page)
    page.watched.check()


@pytest.mark.parametrize("dark", [False, True])
def test_trouble_can_be_read_too(open_page, world, picture, dark):
    world.reasons = [{"reason": "parked", "pipeline": "main", "detail": "ledger 7: V1"}, {"reason": "starting", "pipeline": "main", "detail": "x"}]
    world.restarts["b/pipelines/main/live/processor"] = 1
    world.states["a/pipelines/main"] = "parked"
    page = open_page(dark=dark)
    expect(page.locator("#banner")).to_have_attribute("data-level", "bad")
    expect(page.locator(".row.trouble")).to_have_count(2)
    assert page.evaluate(CONTRASTS)["poor"] == []
    picture(page)
    page.watched.check()


def test_every_control_has_a_name(open_page):
    page = open_page()
    is_filled(page)
    assert page.evaluate(UNNAMED) == []
    for landmark in ("banner", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1, landmark
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_theme_is_chosen_and_remembered(open_page):
    page = open_page()
    ground = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = ground()
    page.get_by_label("Dark", exact=True).check(force=True)
    dark = ground()
    assert dark != light
    page.reload()
    assert ground() == dark
    expect(page.get_by_label("Dark", exact=True)).to_be_checked()
    page.get_by_label("Auto", exact=True).check(force=True)
    assert ground() == light
    page.emulate_media(color_scheme="dark")
    assert ground() == dark
    page.watched.check()


def test_nothing_moves_for_those_who_do_not_want_it(open_page):
    page = open_page(reduced_motion="reduce")
    is_filled(page)
    moving = "[...document.querySelectorAll('*')].filter((one) => { const style = getComputedStyle(one); return parseFloat(style.transitionDuration) > 0 || parseFloat(style.animationDuration) > 0; }).length"
    assert page.evaluate(moving) == 0


def test_the_keyboard_reaches_everything(open_page):
    page = open_page()
    is_filled(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('role') || document.activeElement.name || document.activeElement.className"))
        if "feed-pause" in reached and "filter-least" in reached:
            break
    assert {"treeitem", "window", "feed-pause", "kind", "filter-asset", "filter-account", "filter-least"} <= reached


def test_the_tree_has_the_keys_of_a_tree(open_page):
    page = open_page()
    is_filled(page)
    at = lambda: page.evaluate("document.activeElement.querySelector('.actor-name').textContent")
    page.locator("[role=treeitem]").first.focus()
    seen = [at()]
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowRight", "Home"):
        page.keyboard.press(key)
        seen.append(at())
    # Onto `cluster`, which is folded; opens it; into it; back; folds it; up; folds the node; opens it.
    assert seen == ["a", "cluster", "cluster", "gateway", "cluster", "cluster", "a", "a", "a", "a"]
    page.keyboard.press("End")
    assert at() == "http"
    page.keyboard.press("Enter")
    expect(page.locator("#actor")).to_be_visible()
    expect(page.locator("#actor-title")).to_have_text("c/serving/http")
    page.keyboard.press("Escape")
    expect(page.locator("#actor")).not_to_be_visible()
    # The focus is back on the row, also after answers that came meanwhile.
    page.wait_for_timeout(2_500)
    assert at() == "http"
    page.watched.check()


def test_without_the_networks_newest_ledger_the_lag_is_told_in_time(open_page, world, picture):
    world.node_names, world.lag = ["demo"], None
    page = open_page()
    is_filled(page)
    expect(page.locator("#lag")).to_have_text("4 s")
    expect(page.locator("#lag-age")).to_have_text("from a ledger's close until it is durable")
    world.age = 36_153_057
    expect(page.locator("#lag")).to_have_text("418 d")
    expect(page.locator("#lag-age")).to_contain_text("this is history")
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    picture(page)
    page.watched.check()
