"""The button that records in 06_speak, in node: what it says where the browser gives no microphone."""

import json
import re
import shutil
import subprocess

import pytest

from s2igan.demo import widgets

NODE = shutil.which("node")

PAGE = """
globalThis.window = globalThis;
Object.assign(globalThis, { isSecureContext: %(secure)s, location: { hostname: "lab.example", port: "8888" } });
const released = [], sent = {}, log = [];
const stream = { getTracks: () => [{ stop: () => released.push(1) }] };
const error = (name) => Object.assign(new Error("raw words of the browser"), { name });
globalThis.MediaRecorder = class {
  constructor() { if ("%(fails)s" === "constructor") throw error("NotSupportedError"); }
  start() {}
  stop() { if ("%(fails)s" !== "empty") this.ondataavailable({ data: "x" }); this.stopped = this.onstop(); }
};
globalThis.Blob = class { constructor(pieces) { this.size = pieces.length; } async arrayBuffer() { return this; } };
globalThis.AudioContext = class {
  constructor({ sampleRate }) { this.sampleRate = sampleRate; }
  async decodeAudioData(data) {
    if (!data.size) throw error("EncodingError");
    return { duration: 1.5, sampleRate: this.sampleRate, getChannelData: () => new Float32Array(3) };
  }
  async close() {}
};
const getUserMedia = async () => { if (%(deny)s) throw error(%(deny)s); return stream; };
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: %(devices)s ? { getUserMedia } : undefined } });
const elements = [];
globalThis.document = { createElement: () => { const made = {}; elements.push(made); return made; } };
const code = "data:text/javascript," + encodeURIComponent(%(code)s);
const recorder = (await import(code)).default;
const model = {
  get: (name) => ({ rate: 22050, longest: %(longest)s })[name], set: (k, v) => { sent[k] = v; }, save_changes: () => {},
};
recorder.render({ model, el: { append: () => {} } });
const [button, status] = elements;
const wait = (time) => new Promise((done) => setTimeout(done, time));
for (const pause of %(clicks)s) { await button.onclick(); log.push(status.textContent); await wait(pause); }
const bytes = sent.samples ? sent.samples.byteLength : 0;
const seen = { said: status.textContent, log, button: button.textContent, disabled: !!button.disabled };
console.log(JSON.stringify({ ...seen, bytes, released: released.length }));
"""


def recorded(**given):
    values = {"secure": "true", "devices": "true", "deny": '""', "fails": "", "longest": 60, "clicks": [5, 5], **given}
    script = PAGE % {**values, "code": json.dumps(widgets.Recorder._esm)}
    ran = subprocess.run([NODE, "--input-type=module"], input=script, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"secure": "false", "devices": "false"}, r"plain http.*//localhost:8888 .*ssh -L 8888:localhost:8888 lab\.ex"),
        ({"devices": "false"}, "this browser gives no microphone"),
        ({"deny": '"NotAllowedError"'}, "allow it at the sign"),
        ({"deny": '"SecurityError"'}, "allow it at the sign"),
        ({"deny": '"NotFoundError"'}, "there is no microphone: connect one"),
        ({"deny": '"NotReadableError"'}, "another program"),
        ({"deny": '"TypeError"'}, r"cannot record \(TypeError\)"),
        ({"fails": "constructor"}, r"cannot record \(NotSupportedError\)"),
    ],
)
def test_without_a_microphone_words_say_what_to_do(given, words):
    found = recorded(**given, clicks=[5])
    assert re.search(words, found["said"]) and "upload a file" in found["said"] and "raw words" not in found["said"]
    assert found["button"] == "record" and not found["disabled"] and found["bytes"] == 0
    assert found["released"] == (1 if "fails" in given else 0)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_recording_is_sent_once_it_is_stopped():
    found = recorded()
    assert found["log"][0] == " recording" and found["said"] == " 1.5 s recorded"
    assert found["bytes"] == 12 and found["button"] == "record" and found["released"] == 1


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_recording_stopped_at_once_says_so():
    found = recorded(fails="empty")
    assert "nothing was recorded: speak for a second or more" in found["said"] and found["bytes"] == 0


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_long_recording_stops_by_itself():
    found = recorded(longest=0.05, clicks=[200])
    assert found["said"] == " 1.5 s recorded" and found["button"] == "record"
