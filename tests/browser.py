"""Open the built site in Chromium: `python -m tests.browser build/site [screenshots]`.

It follows all links from the home page, at the width of a desk and of a phone, and
searches. There must be no errors, no page wider than the screen, and no broken internal
link or image. Needs `pip install playwright`, and Chromium, which `CHROMIUM` names.
"""

import os
import shutil
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
SOUGHT = "iDAAETransformer"


class Links(HTMLParser):
    """What a page links to, shows, and can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.update(attrs[key] for key in ("id", "name") if attrs.get(key))
        self.links.update(attrs[key] for key in ("href", "src") if attrs.get(key))


class Quiet(SimpleHTTPRequestHandler):
    """A server that prints nothing."""

    def log_message(self, *args):
        pass


def broken_links(site):
    """Return internal links, from any page, to files and anchors that are not there."""
    pages = {
        path: Links(path.read_text())
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts  # templates of the theme
    }
    found = []
    for page, content in pages.items():
        for link in sorted(content.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = page
            if parts.path:
                there = (page.parent / unquote(parts.path)).resolve()
            if there.is_dir():
                there /= "index.html"
            anchor = unquote(parts.fragment)
            if not there.is_file() or (
                anchor and there in pages and anchor not in pages[there].anchors
            ):
                found.append(f"{page.relative_to(site)}: {link}")
    return found


def watched(browser, size, inside, problems):
    """Return an empty page that notes its errors, and asks for nothing outside."""
    page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))

    def refuse(route):  # the machine may have no network
        problems.append(f"{page.url} asks for {route.request.url}")
        route.abort()

    def heard(message):
        if message.type == "error":
            problems.append(f"{page.url}: {message.text}")

    page.route(lambda url: not url.startswith(inside), refuse)
    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    return page


def look(page, url, picture, problems):
    """Open a page, and note whether it is wider than the screen."""
    page.goto(url, wait_until="networkidle")
    width = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
    if width > 1:
        problems.append(f"{url}: {width} pixels wider than the screen")
    page.screenshot(path=picture)


def first_click(page, inside):
    """Return the pages of the site that a page links to."""
    every = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
    links = {link.split("#")[0] for link in page.evaluate(every)}
    return sorted(u for u in links if u.startswith(inside) and u.endswith(".html"))


def search(page, inside, picture):
    """Return what the search finds."""
    page.goto(f"{inside}search.html?q={SOUGHT}", wait_until="networkidle")
    page.wait_for_timeout(1000)
    page.screenshot(path=picture)
    results = page.locator("ul.search li a").all()
    return [result.get_attribute("href") or "" for result in results]


def in_browser(site, pictures):
    """Return what is wrong with the pages of the first click, and with the search."""
    from playwright.sync_api import sync_playwright

    handler = partial(Quiet, directory=os.fspath(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    inside = f"http://127.0.0.1:{server.server_port}/"
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for screen, size in WIDTHS.items():
            page = watched(browser, size, inside, problems)
            look(page, f"{inside}index.html", pictures / f"{screen}-home.png", problems)
            urls = first_click(page, inside)
            for url in urls:
                name = url.removeprefix(inside).removesuffix(".html").replace("/", "-")
                look(page, url, pictures / f"{screen}-{name}.png", problems)
            found = search(page, inside, pictures / f"{screen}-search.png")
            if not any(f"sklearn_daae.{SOUGHT}.html" in href for href in found):
                problems.append(f"{screen}: search does not find {SOUGHT}: {found}")
            print(f"{screen}: {len(urls)} pages of the first click")
        browser.close()
    return problems


def main(site, pictures="build/screenshots"):
    site, pictures = Path(site).resolve(), Path(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    problems = broken_links(site) + in_browser(site, pictures)
    print("\n".join(problems) or "nothing is wrong")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
