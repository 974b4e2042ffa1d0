"""The feed on the page: filters, pause, its place after a reconnect, a bounded number of rows, and text that stays text."""

import pytest
from playwright.sync_api import expect

from waiting import drawn, until

HOSTILE = ['<img src=x onerror="window.broken=1">', "<script>window.broken=1</script>", "'\"><svg onload=window.broken=1>", "javascript:window.broken=1"]


def kinds(page):
    return set(page.locator(".event .kind").all_inner_texts())


def test_filters_narrow_what_is_shown(open_page, world):
    page = open_page()
    expect(page.locator(".event").first).to_be_visible()
    page.get_by_role("checkbox", name="mint").check()
    page.get_by_role("checkbox", name="burn").check()
    expect(page.locator(".event").first).to_be_visible()
    expect(page.locator(".event .kind.transfer")).to_have_count(0)
    assert kinds(page) <= {"mint", "burn"}
    until(page, lambda: world.feed_log[-1]["filter"] == {"kind": ["mint", "burn"]})
    assert page.url.endswith("#kind=mint%2Cburn")
    page.reload()
    expect(page.locator(".event").first).to_be_visible()
    assert kinds(page) <= {"mint", "burn"}
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".event .kind.transfer").first).to_be_visible()
    until(page, lambda: world.feed_log[-1]["filter"] == {})
    page.watched.check()


def test_what_is_pressed_becomes_a_filter(open_page, world):
    page = open_page()
    page.locator(".event .from button").first.click()
    expect(page.locator("#filter-account")).not_to_have_value("")
    account = page.locator("#filter-account").input_value()
    expect(page.locator(".event").first).to_be_visible()
    strangers = page.locator(".event .way").filter(has_not=page.locator(f'button[title="Show only {account}"]'))
    expect(strangers).to_have_count(0)
    page.locator("#assets-rows button").first.click()
    expect(page.locator("#filter-asset")).to_have_value("native")
    until(page, lambda: world.feed_log[-1]["filter"] == {"account": [account], "asset": ["native"]})
    page.watched.check()


def test_an_amount_is_asked_for_in_whole_units_and_exactly(open_page, world):
    page = open_page()
    page.locator("#filter-least").fill("900,719,925,474.0993001")
    page.keyboard.press("Enter")
    expect(page.locator("#filter-clear")).to_be_visible()
    until(page, lambda: page.evaluate("location.hash") == "#min_amount=9007199254740993001")
    expect(page.locator("#feed-state")).to_have_text("Live")
    until(page, lambda: world.feed_log[-1]["filter"] == {"min_amount": "9007199254740993001"})
    page.watched.check()


@pytest.mark.parametrize("field, value, problem", [("asset", "USDC", "is no asset"), ("account", "me", "is no address"), ("least", "1.12345678", "is no amount"), ("least", "1e3", "is no amount")])
def test_a_filter_that_is_none_is_told_and_not_sent(open_page, world, field, value, problem):
    page = open_page()
    expect(page.locator(".event").first).to_be_visible()
    before = len(world.feed_log)
    page.locator(f"#filter-{field}").fill(value)
    page.locator(f"#filter-{field}").press("Enter")
    expect(page.locator("#filter-problem")).to_contain_text(problem)
    expect(page.locator(f"#filter-{field}")).to_have_attribute("aria-invalid", "true")
    assert len(world.feed_log) == before
    page.locator(f"#filter-{field}").fill("")
    page.locator(f"#filter-{field}").press("Enter")
    expect(page.locator("#filter-problem")).not_to_be_visible()
    page.watched.check()


def test_paused_it_keeps_its_place_and_goes_on_without_a_gap(open_page, world):
    page = open_page()
    expect(page.locator(".ledger").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#feed-state")).to_have_text("Paused")
    drawn(page)
    shown = page.locator(".ledger").count()
    page.wait_for_timeout(1_500)
    assert page.locator(".ledger").count() == shown
    page.get_by_role("button", name="Resume").click()
    page.mouse.move(0, 0)
    expect(page.locator("#feed-state")).to_have_text("Live")
    page.wait_for_timeout(1_000)
    assert_no_gap(page)
    page.watched.check()


def assert_no_gap(page):
    expect(page.locator(".ledger-head").nth(2)).to_be_visible()
    numbers = [int(text.replace("Ledger ", "").replace(",", "")) for text in page.locator(".ledger-head > :first-child").all_inner_texts()]
    assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)), numbers


@pytest.mark.parametrize("code", [1011, 4008, 1001])
def test_cut_off_it_goes_on_at_its_cursor(open_page, world, stub, code):
    page = open_page()
    expect(page.locator(".ledger").first).to_be_visible()
    stub.drop_feeds(code, "53312041")
    page.wait_for_timeout(2_500)
    expect(page.locator("#feed-state")).to_have_text("Live")
    until(page, lambda: len(world.feed_log) == 2)
    assert world.feed_log[1]["from"].isdigit()
    assert_no_gap(page)
    page.watched.check()


def test_always_too_slow_it_skips_and_says_so(open_page, world, stub):
    page = open_page()
    # A filter that nothing matches: no frame of events says that it got further.
    page.locator("#filter-least").fill("99999999999999999999")
    page.keyboard.press("Enter")
    for _ in range(3):
        expect(page.locator("#feed-state")).to_have_text("Live")
        stub.drop_feeds(4008, "53312041")
        expect(page.locator("#feed-state")).to_have_text("Connecting again")
    expect(page.locator(".gap")).to_contain_text("faster than this page can show")
    expect(page.locator("#feed-state")).to_have_text("Live")
    until(page, lambda: world.feed_log[-1]["from"] == "latest")
    page.watched.check()


def test_however_much_comes_the_rows_are_bounded(open_page, world):
    world.events_per_ledger, world.every = 900, 0.1
    page = open_page()
    page.wait_for_timeout(4_000)
    until(page, lambda: int(page.locator("#feed-count").inner_text().split(" ")[0].replace(",", "") or 0) > 5000)
    assert 0 < page.locator(".event").count() <= 200
    expect(page.locator(".more").first).to_have_text("860 more events of this ledger, fees first left out: narrow the filter to see them")
    page.watched.check()


def test_ledgers_of_any_size_leave_no_hole(open_page, world):
    with world.lock:
        for sequence in range(world.tip, world.tip + 200):
            world.events_per_ledger = [3, 60, 1, 25, 90, 2, 7][sequence % 7]
            world.ledger(sequence)
    world.every = 0.05
    page = open_page()
    expect(page.locator(".ledger-head").first).to_be_visible()
    for _ in range(10):
        page.wait_for_timeout(400)
        heads = page.locator(".ledger-head > :first-child").all_inner_texts()
        numbers = [int(head.replace("Ledger ", "").replace(",", "")) for head in heads]
        assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)), numbers
    page.watched.check()


def test_rows_stand_still_while_one_looks_at_them(open_page, world):
    page = open_page()
    page.locator(".event").nth(3).hover()
    page.wait_for_timeout(200)
    first = page.locator(".ledger-head").first.inner_text()
    expect(page.locator("#feed-count")).to_contain_text("held back while you look")
    page.wait_for_timeout(1_000)
    assert page.locator(".ledger-head").first.inner_text() == first
    page.mouse.move(0, 0)
    expect(page.locator(".ledger-head").first).not_to_have_text(first)
    page.wait_for_timeout(600)
    assert_no_gap(page)
    page.watched.check()


def test_text_of_the_server_stays_text(open_page, world):
    with world.lock:
        name = HOSTILE[0]
        event = dict(world.ledger(world.tip)["events"][0])
        for index, text in enumerate(HOSTILE):
            fields = {"kind": text, "asset": f"{text}:{text}", "from": text, "to": text, "amount": text, "tx_hash": text, "event_id": text, "contract_id": text}
            for sequence in range(world.tip, world.tip + 60):
                world.extra_events.setdefault(sequence, []).append({**event, **fields, "ledger_event_index": 1000 + index})
        world.made.clear()
        world.node_names = [name, *HOSTILE[1:]]
        world.node_states = {name: HOSTILE[1]}
        world.errors[f"{name}/pipelines/main/live/processor"] = HOSTILE[2]
        world.restarts[f"{name}/pipelines/main/live/processor"] = 1
        world.reasons = [{"reason": HOSTILE[0], "pipeline": HOSTILE[1], "detail": HOSTILE[2]}]
        world.quarantined = [{"ledger": 1, "pipeline": HOSTILE[0], "dataset": "", "source": HOSTILE[1], "file": HOSTILE[2], "reason": HOSTILE[0], "attempts": 1, "object_bytes": 1}]
    page = open_page()
    expect(page.locator(".event").first).to_be_visible()
    expect(page.locator("#quarantine-rows")).to_contain_text(HOSTILE[0])
    page.locator(".actor-name", has_text="processor").first.click()
    expect(page.locator("#actor-body pre")).to_have_text(HOSTILE[2])
    page.wait_for_timeout(1_000)
    assert page.evaluate("window.broken") is None
    assert page.locator("img:not(.brand img), svg[onload], main script, .event a").count() == 0
    page.watched.check()


def test_values_read_exactly(open_page):
    page = open_page()
    call = lambda name, *arguments: page.evaluate(
        """async ([name, values]) => (await import("/dashboard/format.js"))[name](...values)""", [name, list(arguments)]
    )
    check = lambda expect, name, *arguments: call(name, *arguments) == expect or pytest.fail(f"{name}{arguments}: {call(name, *arguments)}")
    check("0.0000001", "amount", "1", 7)
    check("-0.0026300", "amount", "-26300", 7)
    check("1.0000000", "amount", "10000000", 7)
    check("922,337,203,685.4775807", "amount", "9223372036854775807", 7)
    check("17,014,118,346,046,923,173,168,730,371,588.4105727", "amount", "170141183460469231731687303715884105727", 7)
    check("1,000", "amount", "1000", 0)
    check("0.0000000", "amount", "000", 7)
    check("x", "amount", "x", 7)
    check("10000000", "smallestUnit", "1", 7)
    check("1", "smallestUnit", ".0000001", 7)
    check("12345000000", "smallestUnit", "1,234.5", 7)
    check(None, "smallestUnit", ".", 7)
    check(None, "smallestUnit", "-1", 7)
    check("170141183460469231731687303715884105728", "sum", "170141183460469231731687303715884105727", "1")
    check("89 s", "duration", 89)
    check("2 min", "duration", 90)
    check("5 h 12 min", "duration", 18_720)
    check("418 d", "duration", 36_153_057)
    check("53,312,000", "count", "53312000")
    check("–", "count", None)
    check("0.25", "rate", 0.25)
    check("1,234", "rate", 1233.6)
    check("GABC…WXYZ", "short", "GABCDEFGHIJKLMNOPWXYZ")
