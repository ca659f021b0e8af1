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


def look(page, url, problems, picture=None):
    """Open a page, note what is wrong with it, and return what it links to."""
    page.goto(url, wait_until="networkidle")
    width = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
    if width > 1:
        problems.append(f"{url}: {width} pixels wider than the screen")
    if picture:
        page.screenshot(path=picture)
    return page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")


def in_browser(site, pictures):
    """Return what is wrong with the pages of the first click, and with the search."""
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=os.fspath(site))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/index.html"
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    problems = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for screen, (width, height) in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            # The machine may have no network: what is not ours is not asked for.
            page.route(
                lambda url: not url.startswith(home.removesuffix("index.html")),
                lambda route: (
                    problems.append(f"asks for {route.request.url}"),
                    route.abort(),
                ),
            )
            page.on(
                "console",
                lambda said: (
                    problems.append(f"{page.url}: {said.text}")  # noqa: B023
                    if said.type == "error"
                    else None
                ),
            )
            page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))  # noqa: B023
            inside = home.removesuffix("index.html")
            links = look(page, home, problems, pictures / f"{screen}-index.png")
            first_click = {link.split("#")[0] for link in links}
            first_click = {
                link
                for link in first_click
                if link.startswith(inside) and link.endswith(".html")
            }
            for link in sorted(first_click):
                name = link.removeprefix(inside).removesuffix(".html")
                picture = pictures / f"{screen}-{name.replace('/', '-')}.png"
                look(page, link, problems, picture)
            page.goto(f"{inside}search.html?q={SOUGHT}", wait_until="networkidle")
            page.wait_for_timeout(1000)
            page.screenshot(path=pictures / f"{screen}-search.png")
            results = page.locator("ul.search li a").all()
            hrefs = [result.get_attribute("href") or "" for result in results]
            if not any(f"sklearn_daae.{SOUGHT}.html" in href for href in hrefs):
                problems.append(f"{screen}: search does not find {SOUGHT}: {hrefs}")
            print(f"{screen}: {len(first_click)} pages of the first click")
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
