"""The page as it is served, over HTTP and in a browser: real clicks, real keys, and nobody else is asked for anything."""

import asyncio
import html
import json
import re
import shlex
from typing import Any

import pytest

from tests.served.http.http_client import HttpClient, Mirror, Reply, exchange
from tests.served.http.test_answers import assert_described
from tests.served.page.browser import Tab

EVIL = "<img src=x onerror=alert(1)></script><script>document.title='taken'</script>"


def address(app: HttpClient, **query: str) -> str:
    """The page's, with the key as an operator's browser has it."""
    more = "".join(f"&{name.rstrip('_')}={value}" for name, value in query.items())
    return f"{app.url}/dashboard?code={app.functions_key}{more}"


def ask(app: HttpClient, query: str = "") -> Reply:
    """The page over HTTP."""
    return app.raw("GET", f"/dashboard?code={app.functions_key}{query}")


@pytest.fixture(scope="module")
def moved(app: HttpClient) -> Mirror:
    """A mirror that was moved to B and back, and that every pass of the timer knows."""
    mirror = app.take()
    for member in (mirror.b, mirror.a):
        assert app.claim(mirror, member, evidence={"said": EVIL}).json["outcome"] == "moved"
    assert app.operator("POST", "/reconcile", b"").status == 200
    return mirror


# -- over HTTP ---------------------------------------------------------------------------------------------------------------


def test_headers_and_body_give_nothing_away(app: HttpClient, moved: Mirror) -> None:
    """Not stored, no referrer, a strict policy, nothing but itself; and the key is nowhere in what is sent."""
    for query in ("", f"&mirror={moved.name}", "&mirror=NOPE", "&mirror=BROKEN"):
        reply = ask(app, query)

        assert_described(reply, "get", "/dashboard")
        assert reply.status == {"&mirror=NOPE": 404, "&mirror=BROKEN": 500}.get(query, 200)
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert not [secret for secret in app.secret_texts if secret.encode() in reply.body]


def test_every_line_works_as_it_stands(app: HttpClient, moved: Mirror) -> None:
    """Each `curl` line of the page, in the order of the page, with the words replaced that it asks to replace."""
    lines = re.findall(r"<code>(curl [^<]*)</code>", ask(app, f"&mirror={moved.name}").body.decode())
    assert len(lines) == 7
    for line in map(html.unescape, lines):
        parts = shlex.split(line.replace("$KEY", f"x-functions-key: {app.functions_key}"))
        method = parts[parts.index("-X") + 1] if "-X" in parts else "POST" if "-d" in parts else "GET"
        (url,) = (part for part in parts if part.startswith("http"))
        body = parts[parts.index("-d") + 1].encode() if "-d" in parts else None
        base, _, path = url.partition("/api")
        reply = exchange(base, method, f"/api{path}", headers={"x-functions-key": app.functions_key}, body=body)

        assert f"{base}/api" == app.url
        assert reply.status == 200, (line, reply)
    assert app.state(moved)["placement"]["members"] == [moved.b]
    assert app.move(moved, moved.a).status == 200


# -- in a browser ------------------------------------------------------------------------------------------------------------


def only_the_page(tab: Tab, app: HttpClient) -> bool:
    """Whether the browser asked for nothing but the page (and what the page itself, or the browser's own fields, hold)."""
    return {url.partition("?")[0] for url in tab.requests if not url.startswith("data:")} == {f"{app.url}/dashboard"}


async def test_from_all_mirrors_to_one_and_back(app: HttpClient, moved: Mirror, tab: Tab) -> None:
    """A click leads to the mirror and back, the key goes along, and no other address is asked for anything."""
    await tab.goto(address(app))
    await tab.leave(f"#l-{moved.name}")
    assert await tab.js("document.getElementById('answer').textContent") == f"{moved.a} has the VIP."
    await tab.leave("#back")

    assert await tab.js(f"!!document.getElementById('l-{moved.name}')")
    assert await tab.js("new URLSearchParams(location.search).get('code')") == app.functions_key
    assert only_the_page(tab, app)


async def test_a_search_and_a_kind(app: HttpClient, moved: Mirror, tab: Tab) -> None:
    """What is typed is searched for, by Enter too; a kind is chosen with a click; both keep the key."""
    await tab.goto(address(app))
    await tab.type("#q", moved.name.lower())
    await tab.js("window.before = true")
    await tab.key("Enter", 13)
    await tab.until("window.before === undefined && document.readyState === 'complete'")
    assert await tab.js("[...document.querySelectorAll('tbody th')].map((one) => one.textContent)") == [moved.name]

    await tab.leave("#kind-frozen")
    assert await tab.js("document.querySelector('[aria-current]').id") == "kind-frozen"
    assert await tab.js("document.querySelector('#list .empty').textContent") == "No mirror fits."


async def test_rows_by_event_and_member(app: HttpClient, moved: Mirror, tab: Tab) -> None:
    """Only the rows that fit are shown; one that is opened shows all its columns, and what members said is text."""
    await tab.goto(address(app, mirror=moved.name))
    await tab.js("document.getElementById('event').value = 'claim.accepted'")
    await tab.js(f"document.getElementById('member').value = {json.dumps(moved.b)}")
    await tab.leave("#rows button")

    events = await tab.js("[...document.querySelectorAll('.records .badge')].map((one) => one.textContent)")
    assert events == ["claim.accepted"] * 2
    await tab.click(".records summary")
    assert await tab.js("document.querySelector('.records details').open")
    assert EVIL in await tab.js("document.querySelector('.records details').innerText")
    assert await tab.js("document.title.includes('taken') || !!document.querySelector('img')") is False
    await tab.leave("#unfilter")
    assert await tab.js("document.querySelectorAll('.records li').length") >= 8


async def test_it_refreshes_itself_and_nothing_is_lost(app: HttpClient, tab: Tab) -> None:
    """A freeze shows without a reload. What was opened stays open, focus, scrolling and selection stay, and what did not change
    is the very same element as before: nothing flickers.
    """
    mirror = app.take()
    assert app.claim(mirror, mirror.b).status == 200
    await tab.goto(address(app, mirror=mirror.name))
    await tab.click("#actions-try-1 summary")
    await tab.click("#rows select")
    await tab.key("Escape", 27)
    await tab.js("document.getElementById('main').dataset.refreshS = 1; window.same = document.querySelector('.lanes li')")
    await tab.js("document.querySelector('#event').focus()")
    await tab.js("getSelection().selectAllChildren(document.querySelector('#actions-try-1 code'))")
    held = "[scrollY, getSelection().toString(), document.activeElement.id]"
    before = await tab.js(held)
    assert app.operator("PUT", f"/mirrors/{mirror.name}/freeze", {"reason": EVIL, "operator": "pat"}).status == 200
    await tab.js("document.dispatchEvent(new Event('visibilitychange'))")

    await tab.until("document.querySelector('#notice-frozen')?.textContent.includes('Frozen by pat')")

    assert EVIL in await tab.js("document.querySelector('#notice-frozen').textContent")
    assert await tab.js("document.querySelectorAll('details[open]').length") == 1
    after = await tab.js(held)
    assert before[1:] == after[1:]
    assert '"dry_run": true' in after[1]  # what is being copied is not another line now
    assert await tab.js("window.same === document.querySelector('.lanes li') && window.same.isConnected")
    assert await tab.js("document.title") == f"{mirror.name}: Frozen"
    assert only_the_page(tab, app)


async def test_a_page_that_cannot_be_refreshed_says_so(app: HttpClient, moved: Mirror, tab: Tab) -> None:
    """Where the app does not answer any more, the page says since when, keeps what it shows, and recovers by itself."""
    await tab.goto(address(app, mirror=moved.name))
    await tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    await tab.js("document.getElementById('main').dataset.refreshS = 0.2; document.dispatchEvent(new Event('visibilitychange'))")
    await tab.until("document.getElementById('note').textContent.includes('What you see is of 20')")
    assert await tab.js("document.getElementById('answer').textContent") == f"{moved.a} has the VIP."

    tab.faults.clear()  # the browser's own word on being offline
    await tab.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    await tab.until("document.getElementById('note').textContent === ''")
    tab.faults.clear()


async def test_a_swap_is_seen_while_it_happens(app: HttpClient, tab: Tab) -> None:
    """The page that is open follows a swap to its end without a hand on it."""
    mirror = app.take()
    await tab.goto(address(app, mirror=mirror.name))
    app.azure("PUT", "switches", {"latency": "fixed:1"})
    await tab.js("setInterval(() => document.dispatchEvent(new Event('visibilitychange')), 150) > 0")  # as who looks again
    claim = asyncio.create_task(asyncio.to_thread(app.claim, mirror, mirror.b))

    await tab.until("document.querySelector('.lanes li .badge')?.textContent === 'under way'")
    await tab.until(f"document.getElementById('answer').textContent === {json.dumps(mirror.b + ' has the VIP.')}")

    app.azure("PUT", "switches", {"latency": "fixed:0.2"})
    assert (await claim).status == 200
    await tab.until("document.querySelector('.lanes li .badge')?.textContent === 'done'")


LOOKS: list[dict[str, Any]] = [{}, {"dark": True}, {"width": 390, "height": 844, "phone": True}]


@pytest.mark.parametrize("look", LOOKS, ids=["desktop", "dark", "phone"])
async def test_anybody_can_use_it(app: HttpClient, moved: Mirror, tab: Tab, look: dict[str, Any]) -> None:
    """axe-core finds nothing: contrast, names, order of headings, sizes; nothing is wider than the screen."""
    await tab.look(**look)
    for query in ({"q": "O"}, {"q": "M0000"}, {"mirror": moved.name}):
        await tab.goto(address(app, **query))
        await tab.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

        assert await tab.axe() == []
        assert await tab.js("document.documentElement.scrollWidth <= innerWidth")


async def test_by_keyboard_alone(app: HttpClient, moved: Mirror, tab: Tab) -> None:
    """Tab reaches the first mirror's link and Enter opens it."""
    await tab.goto(address(app, q=moved.name))
    for _ in range(12):
        await tab.key("Tab", 9)
        if await tab.js("document.activeElement.id") == f"l-{moved.name}":
            break
    await tab.js("window.before = true")
    await tab.key("Enter", 13)
    await tab.until("window.before === undefined && document.readyState === 'complete'")

    assert await tab.js("document.querySelector('.name').textContent.includes('" + moved.name + "')")
