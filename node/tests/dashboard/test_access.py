"""A node that wants to know who reads: the page asks for a token, keeps it for the tab alone, and sends it with everything."""

from playwright.sync_api import expect

TOKEN = "orrery_viewer_3f9a.b-c"


def sign_in(page, token):
    page.locator("#access-token").fill(token)
    page.locator("#access-token").press("Enter")


def test_a_token_is_asked_for_and_sent_with_everything(open_page, world, stub, picture):
    world.token = TOKEN
    page = open_page()
    expect(page.locator("#access")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "access-token"
    picture(page)
    sign_in(page, "wrong")
    expect(page.locator("#access-problem")).to_contain_text("does not take this token")
    sign_in(page, f"Bearer {TOKEN}")
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator(".event").first).to_be_visible()
    expect(page.locator("[role=treeitem]").first).to_be_visible()
    assert page.evaluate("Object.values(localStorage).join()").find(TOKEN) < 0
    assert all(TOKEN not in path for path in stub.requests)
    assert TOKEN not in page.url
    page.reload()
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#access")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    page.watched.check(network_may_fail=True)


def test_who_has_no_token_is_told_and_not_asked_again_and_again(open_page, world):
    world.token = TOKEN
    page = open_page()
    page.get_by_role("button", name="Not now").click()
    expect(page.locator("#banner-headline")).to_have_text("The server asks for an access token")
    page.wait_for_timeout(2_500)
    expect(page.locator("#access")).not_to_be_visible()
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#access")).to_be_visible()
    sign_in(page, TOKEN)
    expect(page.locator("#banner-headline")).to_have_text("All is well")
    expect(page.locator(".event").first).to_be_visible()
    page.watched.check(network_may_fail=True)


def test_a_token_no_header_can_carry_is_refused_at_once(open_page, world):
    world.token = TOKEN
    page = open_page()
    sign_in(page, "two words")
    expect(page.locator("#access-problem")).to_contain_text("one word")
    page.watched.check(network_may_fail=True)
