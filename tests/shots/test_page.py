"""The page as a real browser sees it: at three widths, light and dark, it asks for nothing, complains of nothing, needs no scrolling
to the side. The pictures of the first run are kept in packaging/doc."""

import pytest

import story
from browser import PROGRAM, Browser
from harness import TOP
from test_report import DOCUMENT

pytestmark = pytest.mark.skipif(not PROGRAM, reason="there is no Chromium: apt-get install chromium")
PICTURE_MAX = 60_000
TOO_WIDE = "[...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 99))"
LOW_CONTRAST = """(() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3]) return c; } };
  return [...document.querySelectorAll('p,b,dd,dt,span,small,li,h1,h2,pre,footer')].filter(e => e.textContent.trim()).map(e => {
    const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className + ' ' + e.textContent.slice(0, 20)];
  }).filter(([ratio]) => ratio < 4.5);
})()"""


@pytest.fixture
def browser():
    b = Browser()
    yield b
    b.close()


@pytest.fixture
def page(on_ec2, world):
    world.metadata("dynamic/instance-identity/document " + DOCUMENT)
    story.gpu_box(on_ec2)
    path = on_ec2.work / "report.html"
    on_ec2.run("report", "--html", path)
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390, 360])
def test_the_page(browser, page, width, dark):
    browser.open(page, width, 900, dark)
    assert browser.requests == [f"file://{page}"] and browser.complaints == []
    assert browser.ask("document.documentElement.scrollWidth") <= width and browser.ask(TOO_WIDE) == []
    assert browser.ask(LOW_CONTRAST) == []
    assert browser.ask("document.querySelectorAll('script,img,iframe,object,embed,form').length") == 0
    for details in ("true", "false"):  # with every list open it is no wider
        browser.ask(f"document.querySelectorAll('details').forEach(d => d.open = {details})")
        assert browser.ask("document.documentElement.scrollWidth") <= width


def test_nothing_of_a_run_becomes_a_part_of_the_page(browser, agent):
    run = story.Run("<script>alert(1)</script>@1")
    run.step("<img src=x onerror=alert(2)>", "packages", 10, 3000, status="failed", error="<iframe src=http://127.0.0.1:9/>\"'>",
             log=f"/var/lib/dsagent/runs/{run.run_id}/01.log", changes=["</title><style>*{display:none}</style>"])
    run.end(3010, "failed", "step 1 failed")
    (run.write(agent) / "01.log").write_text("</pre><script src=http://127.0.0.1:9/x.js></script>")
    path = agent.work / "report.html"
    agent.run("report", "--html", path)
    browser.open(path)
    assert browser.requests == [f"file://{path}"] and browser.complaints == []
    assert browser.ask("document.querySelectorAll('script,img,iframe').length + document.querySelectorAll('style').length") == 1


def test_pictures(browser, page):
    """What packaging/doc holds; a picture that has grown is not committed by accident."""
    for dark in (False, True):
        browser.open(page, 1000, 960, dark)
        path = TOP / "packaging/doc" / f"report-{'dark' if dark else 'light'}.webp"
        browser.shot(path, whole=False)
        assert 10_000 < path.stat().st_size < PICTURE_MAX
