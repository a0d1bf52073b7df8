"""A headless Chromium for the tests of the site."""

import contextlib
import itertools
import json
import shutil
import subprocess

import websocket

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Browser:
    """A headless Chromium, controlled by the DevTools protocol; `events`: reports since the last page was opened."""

    def __init__(self, profile):
        # A fake microphone beeps, and pages may use it.
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
        options += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        command = [CHROMIUM, *options, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        address = next(line.split()[-1] for line in self.process.stderr if line.startswith("DevTools listening on"))
        self.socket = websocket.create_connection(address, suppress_origin=True, timeout=120)
        self.numbers, self.events, self.session = itertools.count(1), [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters} | (
            {"sessionId": self.session} if self.session else {}
        )
        self.socket.send(json.dumps(message))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url, width):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 800
        )
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv()))

    def evaluate(self, script):
        ended = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in ended, ended
        return ended["result"]["value"]

    def complaints(self):
        """Errors on the console, exceptions, and requests that failed or went elsewhere."""
        found = []
        for event in self.events:
            method, about = event["method"], event.get("params", {})
            if method == "Runtime.exceptionThrown" or (
                method == "Runtime.consoleAPICalled" and about["type"] == "error"
            ):
                found.append(json.dumps(about)[:500])
            if method == "Log.entryAdded" and about["entry"]["level"] == "error":
                found.append(about["entry"]["text"])
            if method == "Network.loadingFailed" and not about.get("canceled"):
                found.append(about["errorText"])
            if method == "Network.requestWillBeSent" and not about["request"]["url"].startswith(
                ("file:", "data:", "blob:", "about:")
            ):
                found.append(f"asked for {about['request']['url']}")
        return found

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)
