"""Waiting for what lasts. `wait_for_function` cannot: it evaluates text in the page, which the page's policy forbids."""

PAUSE_MS = 50
ROUNDS = 1200


def until(page, is_so):
    """Waits until it is so, up to a minute: of the page, or of what plays the node to it."""
    for _ in range(ROUNDS):
        if is_so():
            return
        page.wait_for_timeout(PAUSE_MS)
    assert is_so()


def drawn(page):
    """Waits until all is drawn that the page knows now."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
