#!/usr/bin/env python3
"""Signs in with a real browser: `login` against the sandbox's consent page, approved and denied, in light and dark.

usage: login.py PROGRAM. Needs chromium and chromedriver (Debian: chromium, chromium-driver); nothing else, and no network.
Exit 0: everything is as it should be. Exit 77: there is no browser here, and nothing was tested.
"""
import json, os, pathlib, shutil, signal, socket, stat, subprocess, sys, tempfile, time, urllib.error, urllib.request

PROGRAM = os.path.abspath(sys.argv[1])
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    print("SKIPPED: chromium and chromedriver are needed (Debian: apt install chromium chromium-driver)")
    sys.exit(77)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Browser:
    """As much of WebDriver (W3C) as this needs."""

    def __init__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.call("GET", "/status")
                break
            except OSError:
                time.sleep(0.05)
        options = {"binary": CHROMIUM, "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{answer['sessionId']}"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:600]}") from None

    def open(self, url):
        self.call("POST", f"{self.session}/url", {"url": url})

    def click(self, selector):
        found = self.call("POST", f"{self.session}/element", {"using": "css selector", "value": selector})
        self.call("POST", f"{self.session}/element/{next(iter(found.values()))}/click", {})

    def run(self, script):
        return self.call("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def scheme(self, name):
        features = [{"name": "prefers-color-scheme", "value": name}]
        body = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self.call("POST", f"{self.session}/goog/cdp/execute", body)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def luminance(color):
    parts = [int(float(part)) / 255 for part in color[color.index("(") + 1 : color.index(")")].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def check_page(browser, headline):
    """The page is rendered, needs nothing from elsewhere, and can be read in both schemes (WCAG 2.1: 4.5 to 1)."""
    for _ in range(200):
        if browser.run("return document.readyState === 'complete' && document.querySelector('main') !== null"):
            break
        time.sleep(0.05)
    seen = {}
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        text, color, ground = browser.run(
            "const main = document.querySelector('main'), style = getComputedStyle(main);"
            "return [document.querySelector('h1').innerText, style.color, style.backgroundColor]"
        )
        assert text == headline, text
        assert contrast(color, ground) > 4.5, (scheme, color, ground)
        seen[scheme] = ground
    assert seen["light"] != seen["dark"], seen
    others = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [name for name in others if "favicon" not in name], others


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    sandbox = subprocess.Popen(
        [PROGRAM, "sandbox", "--port", "0", "--format", "json"], stdout=subprocess.PIPE, env=clean, cwd=folder, text=True
    )
    browser = None
    try:
        account = json.loads(sandbox.stdout.readline())
        environment = {
            **clean,
            "CRITEO_API_URL": account["url"],
            "CRITEO_CONSENT_URL": account["consent_url"],
            "CRITEO_CLIENT_ID": account["client_id"],
            "CRITEO_CLIENT_SECRET": account["client_secret"],
        }
        browser = Browser()
        file = folder / "state/criteo-source" / f"{account['client_id']}.json"
        for button, headline, code in (("#deny", "The consent was denied", 3), ("#approve", "Signed in", 0)):
            redirect = f"http://localhost:{free_port()}/criteo-auth/callback"
            command = [PROGRAM, "login", "--no-browser", "--format", "json", "--redirect-uri", redirect]
            login = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=folder, text=True
            )
            link = next(line.strip() for line in login.stderr if line.startswith("http"))
            browser.open(link)
            browser.click(button)
            check_page(browser, headline)
            stdout, stderr = login.communicate(timeout=60)
            assert login.returncode == code, (login.returncode, stdout, stderr)
            assert file.exists() == (code == 0)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        command = [PROGRAM, "pull", "--tables", "campaigns", "--format", "json", "--output", str(folder / "data")]
        pull = subprocess.run(command, capture_output=True, env=environment, cwd=folder, text=True)
        assert pull.returncode == 0, pull.stdout + pull.stderr
        print("signed in with", browser.run("return navigator.userAgent"))
    finally:
        if browser:
            browser.close()
        sandbox.send_signal(signal.SIGTERM)
        sandbox.wait()
        shutil.rmtree(folder, ignore_errors=True)


main()
