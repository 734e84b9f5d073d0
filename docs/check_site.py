"""Check a built site: every link, anchor and picture resolves; in a browser, no page scrolls sideways on a phone.

Run ``python docs/check_site.py`` after the build (`make docs` does). Links are read from the files, without a browser.
With ``--browser`` a headless Chromium (``apt-get install chromium``, or ``--chromium PATH``) loads the pages in a frame
of 375 pixels, in the light and in the dark theme, and reports those that are wider, pictures that do not load or do not
show, and text whose contrast with its background is below 3. ``--screenshots DIR`` keeps pictures of the pages named
after it. Links to other sites are not followed.
"""

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parent / "_build" / "html"
PHONE = 375
EVERY = 12  # of the generated pages, which look alike, the browser takes one in so many
PATIENCE = 900  # seconds that the browser may take in all

FRAME = """<!doctype html><style>body{margin:0}iframe{border:0;display:block}</style><iframe id=f></iframe><script>
const frame = document.getElementById('f');
const pause = ms => new Promise(done => setTimeout(done, ms));
async function open(page, width, height, theme) {
  frame.width = width; frame.height = height;
  localStorage.setItem('mode', theme); localStorage.setItem('theme', theme);
  const loaded = new Promise(done => frame.onload = done);
  frame.src = page; await loaded; await pause(60);
  const root = frame.contentDocument.documentElement;
  root.dataset.theme = theme; root.dataset.mode = theme;
  for (const picture of frame.contentDocument.images) picture.loading = 'eager';
  await Promise.race([frame.contentDocument.fonts.ready, pause(2000)]); await pause(60);
  return frame.contentDocument;
}
const rgb = text => (text.match(/[0-9.]+/g) || []).map(Number);
function light(colour) {
  const [r, g, b] = colour.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgb(view.getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] > 0.5) return colour.slice(0, 3);
  }
  return [255, 255, 255];
}
function faint(doc) {
  const view = doc.defaultView, found = new Set();
  const walker = doc.createTreeWalker(doc.querySelector('article') || doc.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest('button, .headerlink, svg, script, style')) continue;
    const a = light(rgb(view.getComputedStyle(element).color).slice(0, 3)), b = light(behind(element, view));
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 3) found.add(text.slice(0, 30));
  }
  return [...found].slice(0, 3);
}
async function measure(pages) {
  const report = [];
  for (const page of pages) for (const theme of ['light', 'dark']) {
    const doc = await open(page, WIDTH, 800, theme);
    const pictures = [...doc.querySelectorAll('article img')];
    await Promise.race([Promise.all(pictures.map(p => p.decode().catch(() => 0))), pause(3000)]);
    report.push({page, theme, width: doc.documentElement.scrollWidth, faint: faint(doc),
      pictures: pictures.length, shown: pictures.filter(p => p.checkVisibility()).length,
      broken: pictures.filter(p => !p.naturalWidth).map(p => p.src)});
  }
  await fetch('/_report', {method: 'POST', body: JSON.stringify(report)});
}
const wanted = new URLSearchParams(location.search);
if (wanted.has('page')) open(wanted.get('page'), +wanted.get('width'), +wanted.get('height'), wanted.get('theme'));
else fetch('/_pages').then(r => r.json()).then(measure);
</script>"""


class Page(HTMLParser):
    """Links and anchors of one file."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors.update(value for key in ("id", "name") if (value := attrs.get(key)))
        self.links += [attrs[key] for key in ("href", "src", "poster") if attrs.get(key)]
        self.links += [part.split()[0] for part in (attrs.get("srcset") or "").split(",") if part.strip()]


def page_paths(site):
    """Pages of a built site; the theme's own templates below _static are none."""
    return [path for path in sorted(site.rglob("*.html")) if "_static" not in path.relative_to(site).parts]


def broken_links(site):
    """Links of the site that lead nowhere, as sentences; and the number of links looked at."""
    pages = {path: Page(path) for path in page_paths(site)}
    count, problems = 0, []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            where = path.relative_to(site)
            if not target.is_relative_to(site) or not target.exists():
                problems.append(f"{where}: {link} leads to no file")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                problems.append(f"{where}: {link} leads to a page without that anchor")
    return problems, count


class Handler(http.server.SimpleHTTPRequestHandler):
    """The site, the frame that looks at it, and what the frame reports."""

    def __init__(self, *args, shared, **kwargs):
        self.shared = shared
        super().__init__(*args, directory=str(shared["site"]), **kwargs)

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/_frame":
            self._answer(FRAME.replace("WIDTH", str(PHONE)), "text/html")
        elif path == "/_pages":
            self._answer(json.dumps(self.shared["pages"]), "application/json")
        else:
            super().do_GET()

    def do_POST(self):
        self.shared["report"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer("{}", "application/json")
        self.shared["done"].set()

    def _answer(self, text, kind):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def browser_problems(site, chromium, screenshots=None, names=()):
    """What a phone shows wrongly, as sentences; and the number of pages looked at. Screenshots on the way."""
    every = [path.relative_to(site).as_posix() for path in page_paths(site)]
    made = [page for page in every if "generated/" in page]
    pages = [page for page in every if "generated/" not in page] + made[::EVERY]
    shared = {"site": site, "pages": ["/" + page for page in pages], "done": threading.Event(), "report": []}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, shared=shared))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/_frame"
    with tempfile.TemporaryDirectory() as profile:
        start = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        start += [f"--user-data-dir={profile}", "--no-first-run", "--disable-extensions"]
        try:
            if screenshots:
                take_screenshots(start, address, screenshots, names)
                return [], 0
            process = subprocess.Popen(
                [*start, "--remote-debugging-port=0", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                if not shared["done"].wait(PATIENCE):
                    return [f"the browser did not report within {PATIENCE} s"], 0
            finally:
                process.terminate()
                process.wait(30)
        finally:
            server.shutdown()
    problems = []
    for row in shared["report"]:
        where = f"{row['page'][1:]} ({row['theme']})"
        if row["width"] > PHONE:
            problems.append(f"{where}: {row['width']} pixels wide on a phone of {PHONE}")
        if row["pictures"] and not row["shown"]:
            problems.append(f"{where}: none of its {row['pictures']} pictures shows")
        problems += [f"{where}: {picture} does not load" for picture in row["broken"]]
        problems += [f"{where}: faint text {text!r}" for text in row["faint"]]
    return problems, len(pages)


def take_screenshots(start, address, folder, names):
    """One picture a page, width and theme."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for width, height in ((PHONE, 2400), (1280, 1400)):
            for theme in ("light", "dark"):
                target = folder / f"{name.replace('/', '_').removesuffix('.html')}-{width}-{theme}.png"
                url = f"{address}?page=/{name}&width={width}&height={height}&theme={theme}"
                options = [f"--screenshot={target}", f"--window-size={max(width, 500)},{height}", "--timeout=4000"]
                subprocess.run([*start, *options, url], check=True, capture_output=True, timeout=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--site", type=Path, default=SITE)
    parser.add_argument("--browser", action="store_true", help="look at the pages in a headless Chromium as well")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--screenshots", type=Path, metavar="DIR", help="keep pictures of the pages named")
    parser.add_argument("pages", nargs="*", help="pages for --screenshots, such as index.html")
    args = parser.parse_args()
    site = args.site.resolve()
    if not (site / "index.html").exists():
        sys.exit(f"{site} holds no site: run `make docs` first.")
    problems, count = broken_links(site)
    print(f"{count} links: {len(problems)} broken")
    if args.browser or args.screenshots:
        if not args.chromium:
            sys.exit("no Chromium found: apt-get install chromium, or pass --chromium PATH.")
        found, count = browser_problems(site, args.chromium, args.screenshots, args.pages)
        print(f"{count} pages on a phone, light and dark: {len(found)} problems")
        problems += found
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
