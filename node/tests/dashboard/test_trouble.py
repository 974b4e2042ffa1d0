"""When something is wrong the page says so, plainly, and what to do."""

import json

import pytest
from playwright.sync_api import expect

PARKED = {"reason": "parked", "pipeline": "main", "detail": "ledger 53312038: V1: the header's hash differs"}
QUARANTINED = {
    "ledger": 53312038, "pipeline": "main", "dataset": "file:///data/orrery", "source": "file:///data/lake",
    "file": "53312000-53312063.xdr.zst", "reason": "V1: the header's hash differs", "attempts": 3, "object_bytes": 1234567,
}


@pytest.mark.parametrize(
    "reason, level, headline, act",
    [
        (PARKED, "bad", "Pipeline main is parked", "orrery resume main"),
        ({"reason": "source_outage", "pipeline": "main", "detail": "x", "seconds": 75}, "bad", "No source gives the next ledger for 75 s", "Check that the sources can be reached"),
        ({"reason": "dataset_outage", "pipeline": "main", "detail": "x", "seconds": 90}, "bad", "The dataset cannot be read or written for 2 min", "Check the store"),
        ({"reason": "other_dataset", "pipeline": "main", "detail": "x"}, "bad", "different datasets", "same --dataset"),
        ({"reason": "other_network", "pipeline": "main", "detail": "x"}, "bad", "different networks", "same --network"),
        ({"reason": "dataset_gone", "pipeline": "main", "detail": "x"}, "bad", "The dataset is gone", "bring the dataset back"),
        ({"reason": "starting", "pipeline": "main", "detail": "x"}, "busy", "The node is starting", "Wait"),
        ({"reason": "draining", "pipeline": "main", "detail": "x"}, "busy", "The node is stopping", "Nothing is lost"),
        ({"reason": "something_new", "pipeline": "main", "detail": "x"}, "bad", "The node is not ready: something new", "The log says more"),
    ],
)
def test_each_reason_is_told_with_what_to_do(open_page, world, reason, level, headline, act):
    page = open_page()
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    world.reasons = [reason]
    expect(page.locator("#banner")).to_have_attribute("data-level", level)
    expect(page.locator("#banner-headline")).to_contain_text(headline)
    expect(page.locator("#problems")).to_contain_text(act)
    expect(page.locator("#announce")).to_contain_text(headline)
    world.reasons = []
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator("#problems li")).to_have_count(0)
    expect(page.locator("#announce")).to_contain_text("All is well")
    page.watched.check()


def test_a_parked_pipeline_with_a_bad_ledger_names_the_command_that_mends_it(open_page, world, picture):
    world.reasons, world.quarantined, world.moves = [PARKED], [QUARANTINED], False
    page = open_page()
    expect(page.locator("#problems")).to_contain_text("orrery quarantine retry 53312038")
    expect(page.locator("#problems li")).to_have_count(1)
    expect(page.locator("#quarantine-rows li")).to_have_count(1)
    expect(page.locator("#quarantine-rows")).to_contain_text("V1: the header's hash differs")
    assert page.title().startswith("Trouble")
    picture(page)
    page.watched.check()


def test_an_actor_that_is_restarted_is_shown_with_its_history_and_last_error(open_page, world, picture):
    path = "b/pipelines/main/live/processor"
    page = open_page()
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    with world.lock:
        world.restarts[path] = 2
        world.errors[path] = "panic: index out of bounds"
        world.history[path] = [
            {"supervisor": "pipelines/main/live", "child": "processor", "reason": "panic: the first", "restarts_in_window": 1, "incarnation": 1},
            {"supervisor": "pipelines/main/live", "child": "processor", "reason": "panic: the second", "restarts_in_window": 2, "incarnation": 2},
        ]
    expect(page.locator("#banner")).to_have_attribute("data-level", "warn")
    expect(page.locator("#banner-headline")).to_have_text("b/pipelines/main/live restarted its actors 2 times lately")
    expect(page.locator("#problems")).to_contain_text("processor: panic: index out of bounds")
    page.locator("[role=treeitem]", has_text="processor").nth(1).click()
    body = page.locator("#actor-body")
    expect(page.locator("#actor-title")).to_have_text(path)
    expect(body.locator("pre")).to_have_text("panic: index out of bounds")
    expect(body.locator(".lives").first).to_contain_text("life 3 began")
    expect(body.locator(".lives").nth(1).locator("li")).to_have_text(["life 2 of processor endedpanic: the second", "life 1 of processor endedpanic: the first"])
    expect(body).to_contain_text(f"orrery inspect {path}")
    picture(page, full=False)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#actor")).not_to_be_visible()
    page.watched.check()


def test_a_dead_node_is_on_the_map_and_in_the_banner(open_page, world, picture):
    page = open_page()
    world.node_states["c"] = "dead"
    expect(page.locator("#banner-headline")).to_have_text("Node c is dead")
    expect(page.locator('#map .body[data-state="dead"]')).to_have_count(1)
    expect(page.locator("#map line.down")).to_have_count(2)
    expect(page.locator("#problems")).to_contain_text("no answer within 2 s")
    picture(page)
    page.watched.check()


@pytest.mark.parametrize("names, bodies, links", [(["a"], 1, 0), (["a", "b"], 2, 1), (list("abcdefghij"), 10, 45)])
def test_nodes_are_drawn_with_their_links(open_page, world, picture, names, bodies, links):
    world.node_names = names
    page = open_page()
    expect(page.locator("#map .body")).to_have_count(bodies)
    expect(page.locator("#map line")).to_have_count(links)
    expect(page.locator("#nodes-rows tr")).to_have_count(bodies)
    picture(page)
    page.locator("#nodes-rows button").last.click()
    expect(page.locator("#actor-title")).to_have_text(names[-1])
    page.watched.check()


def test_a_node_in_no_cluster_is_known_from_its_tree(open_page, world):
    world.node_names = ["a"]
    world.failing["/v1/nodes"] = (404, {"status": 404, "detail": "no cluster"})
    world.failing["/v1/tree"] = (503, {"status": 503, "detail": "it starts"})
    page = open_page()
    expect(page.locator("#nodes .note")).to_have_text("This node does not serve it.")
    del world.failing["/v1/tree"]
    expect(page.locator("#map .body")).to_have_count(1)
    expect(page.locator("#nodes .note")).not_to_be_visible()
    page.watched.check(network_may_fail=True)


def test_a_server_that_goes_away_and_comes_back(open_page, world, stub, picture):
    page = open_page()
    expect(page.locator(".event").first).to_be_visible()
    world.gone = True
    stub.drop_feeds()
    expect(page.locator("#banner-headline")).to_contain_text("The node has not answered for")
    expect(page.locator("#problems")).to_contain_text("Is the process running")
    expect(page.locator("#feed-state")).to_have_text("Connecting again")
    expect(page.locator("#actors .note")).to_contain_text("What you see is of")
    picture(page)
    world.gone = False
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator("#feed-state")).to_have_text("Live")
    page.watched.check(network_may_fail=True)


@pytest.mark.parametrize("answer", [(404, {"status": 404}), (503, {"status": 503, "detail": "the tree is being built"}), (200, b"<html>"), (500, b"")])
def test_answers_that_are_missing_leave_the_rest(open_page, world, answer):
    panels = {"/v1/tree": "actors", "/v1/nodes": "nodes", "/v1/assets": "assets", "/v1/quarantine": "quarantine"}
    for path in panels:
        world.failing[path] = answer
    page = open_page()
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator(".event").first).to_be_visible()
    for panel in panels.values():
        expect(page.locator(f"#{panel} .note")).to_be_visible()
    del world.failing["/v1/tree"]
    expect(page.locator("[role=treeitem]").first).to_be_visible()
    expect(page.locator("#actors .note")).not_to_be_visible()
    page.watched.check(network_may_fail=True)


@pytest.mark.parametrize("value", [[], {}, 7, "text", None, {"nodes": None}, {"assets": None}, {"nodes": [{}]}, {"assets": [{}]}])
def test_answers_of_another_shape_break_nothing(open_page, world, value):
    for path in ("/v1/tree", "/v1/nodes", "/v1/assets", "/v1/quarantine"):
        world.failing[path] = (200, json.dumps(value).encode())
    page = open_page()
    expect(page.locator("#banner")).to_have_attribute("data-level", "ok")
    expect(page.locator(".event").first).to_be_visible()
    page.wait_for_timeout(500)
    page.watched.check()


def test_a_status_that_is_empty_breaks_nothing(open_page, world):
    world.failing["/v1/status"] = (200, b"{}")
    page = open_page()
    expect(page.locator("#banner")).to_have_attribute("data-level", "ok")
    page.watched.check()


def test_a_feed_that_cannot_be_had_is_told(open_page, world):
    world.feed_refuses = True
    page = open_page()
    expect(page.locator("#banner-headline")).to_contain_text("The live feed is not connected")
    expect(page.locator("#problems")).to_contain_text("WebSockets")
    page.watched.check(network_may_fail=True)


def test_the_verdict_on_the_course_of_things(open_page):
    page = open_page()
    verdict = lambda facts: page.evaluate(
        """async (facts) => (await import("/dashboard/health.js")).judge({ server: { kind: "ok" }, tree: null, nodes: null, quarantine: null,
            feed: null, now: 1e6, tip: null, lagGrowth: null, ageGrowth: null, ...facts }).headline""",
        facts,
    )
    status = {"tip": "100", "checkpoint": "90", "lag_ledgers": 3, "lag_seconds": 12, "ready": True, "reasons": [], "nodes": 1}
    still = {"changedAt": 1e6 - 42_000, "everyMs": 5_000}
    check = lambda expect, **facts: (verdict({"status": status, **facts})).startswith(expect) or pytest.fail(verdict({"status": status, **facts}))
    check("All is well")
    check("All is well", tip={**still, "changedAt": 1e6 - 20_000})
    check("No new ledger for 42 s", tip=still)
    check("All is well", tip={**still, "everyMs": 20_000})
    check("The work is done", tip=still, status={**status, "pipelines": [{"name": "main", "state": "ended"}]})
    check("Catching up: 900 ledgers behind", status={**status, "lag_ledgers": 900, "rates": {"ledgers_per_second": 90}})
    check("The node falls behind: 40 ledgers, 12 more than a minute ago", status={**status, "lag_ledgers": 40}, lagGrowth=12)
    check("All is well", status={**status, "lag_ledgers": 4}, lagGrowth=12)
    check("Events come later and later", status={**status, "lag_seconds": 90}, ageGrowth=30)
    check("All is well", status={**status, "lag_seconds": 40_000_000}, ageGrowth=30)
    check("1 ledger in quarantine", quarantine=[QUARANTINED])
