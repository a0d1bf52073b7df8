"""Fields of 06_speak in JupyterLab: type, upload or record a sentence and choose a voice, by ipywidgets and anywidget.

The notebook also runs without a person: it then uses the first content of the fields.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from IPython.display import Audio, display
from matplotlib import pyplot
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio import LONGEST, SAMPLE_RATE, at_22050, check_length, check_rate, read_audio
from s2igan.demo import sentences
from s2igan.demo.pipeline import Gallery, Pipeline, SpeechInput
from s2igan.demo.speak import advice, describe_score
from s2igan.reporting import plots
from s2igan.reporting.text import one_line

SOURCES = ("typed", "uploaded", "recorded")


class Recorder(anywidget.AnyWidget):
    """A button that records from the browser's microphone, up to `longest` seconds.

    `samples` are float32, mono, at `rate` Hz; empty at first. Where nothing can be recorded, words beside the button
    say why and what to do.
    """

    # The browser decodes its recording, in whatever format, to plain samples of the rate that is needed here. At the
    # rates of some microphones, a minute would be more than Jupyter lets a page send at once, 10 MiB.
    _esm = """
    function render({ model, el }) {
      const button = document.createElement("button");
      const status = document.createElement("span");
      button.className = "jupyter-button";
      button.textContent = "record";
      el.append(button, status);
      let recorder = null;
      const say = (words) => { status.textContent = ` ${words}`; };
      const reasons = {
        NotAllowedError: "the browser does not let this page use the microphone: allow it at the sign beside the"
          + " page's address, or upload a file",
        NotFoundError: "there is no microphone: connect one, or upload a file",
        NotReadableError: "the microphone does not answer, perhaps since another program uses it: close that one, or"
          + " upload a file",
      };
      Object.assign(reasons, {
        SecurityError: reasons.NotAllowedError, OverconstrainedError: reasons.NotFoundError,
        AbortError: reasons.NotReadableError,
      });
      function failed(error) {
        say(reasons[error.name] || `the browser cannot record (${error.name}): upload a file`);
      }
      function hindrance() {
        if (window.isSecureContext === false) {
          const port = location.port || "80";
          return "this page is on plain http, and browsers give the microphone to https and localhost only: open it as"
            + ` http://localhost:${port} (from another machine after ssh -L ${port}:localhost:${port}`
            + ` ${location.hostname}), or upload a file`;
        }
        const able = navigator.mediaDevices && navigator.mediaDevices.getUserMedia && window.MediaRecorder;
        return able ? "" : "this browser gives no microphone to this page: open it in another one, or upload a file";
      }
      async function keep(pieces) {
        const context = new AudioContext({ sampleRate: model.get("rate") || 22050 });
        try {
          const audio = await context.decodeAudioData(await new Blob(pieces).arrayBuffer());
          model.set("rate", audio.sampleRate);
          model.set("samples", new DataView(audio.getChannelData(0).slice().buffer));
          model.save_changes();
          say(`${audio.duration.toFixed(1)} s recorded`);
        } catch {
          say("nothing was recorded: speak for a second or more before you stop");
        } finally {
          await context.close();
        }
      }
      async function start() {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
        const pieces = [];
        const release = () => {
          stream.getTracks().forEach((track) => track.stop());
          recorder = null;
          button.textContent = "record";
        };
        try {
          recorder = new MediaRecorder(stream);
          recorder.ondataavailable = (event) => pieces.push(event.data);
          const longest = setTimeout(() => recorder && recorder.stop(), 1000 * model.get("longest"));
          recorder.onstop = async () => {
            clearTimeout(longest);
            release();
            await keep(pieces).catch(failed);
          };
          recorder.start();
        } catch (error) {
          release();
          throw error;
        }
        button.textContent = "stop";
        say("recording");
      }
      button.onclick = async () => {
        if (recorder) return recorder.stop();
        const words = hindrance();
        if (words) return say(words);
        button.disabled = true;  // the browser may ask first, and one question is enough
        await start().catch(failed);
        button.disabled = false;
      };
    }
    export default { render };
    """
    # A browser may answer with nothing; `recorded` says so.
    samples = traitlets.Bytes(b"", allow_none=True).tag(sync=True)
    rate = traitlets.Int(SAMPLE_RATE, allow_none=True).tag(sync=True)
    longest = traitlets.Int(LONGEST).tag(sync=True)

    def recorded(self) -> Tensor:
        """The recording, (n,) at 22,050 Hz. Raises BadInput where there is none, or no rate, and as `at_22050`."""
        if not self.samples:
            raise BadInput("nothing has been recorded yet")
        if not self.rate or len(self.samples) % 4:
            raise BadInput("the browser sent no whole recording: record again")
        samples = np.frombuffer(self.samples, np.float32).copy()  # torch wants memory that it may write to
        check_rate(self.rate, "the recording")
        check_length(len(samples) / self.rate, "the recording")
        return at_22050(torch.from_numpy(samples), self.rate, "the recording")


class Panel(ipywidgets.VBox):
    """Fields for a sentence, and a button that encodes it and generates images below them.

    `speech_input()` is the sentence as the fields have it now: the notebook's cells use it.
    """

    def __init__(self, pipeline: Pipeline, gallery: Gallery, text: str, count: int = 5) -> None:
        """`text`: first content of the field. `count`: number of generated images, and of real images shown."""
        self.pipeline, self.gallery, self.count = pipeline, gallery, count
        wide = ipywidgets.Layout(width="95%")
        self.text = ipywidgets.Text(text, description="sentence", layout=wide)
        # The training voices come first, then voices in no training.
        voices = list(dict.fromkeys((*pipeline.settings.data_voices, *sentences.UNSEEN_VOICES)))
        self.voice = ipywidgets.Dropdown(options=voices, description="voice")
        self.upload = ipywidgets.FileUpload(accept=".wav,.flac,.ogg", description="upload")
        self.recorder = Recorder()
        self.source = ipywidgets.ToggleButtons(options=SOURCES, description="use the")
        self.button = ipywidgets.Button(description="generate", button_style="primary")
        self.output = ipywidgets.Output()
        self.upload.observe(lambda _: setattr(self.source, "value", "uploaded"), "value")
        self.recorder.observe(lambda _: setattr(self.source, "value", "recorded"), "samples")
        self.button.on_click(lambda _: self.show())
        row = ipywidgets.HBox([self.voice, self.upload, self.recorder])
        super().__init__([self.text, row, ipywidgets.HBox([self.source, self.button]), self.output])

    def speech_input(self) -> SpeechInput:
        """Raises: BadInput if there is nothing to encode."""
        if self.source.value == "typed":
            return self.pipeline.encode_text(self.text.value, self.voice.value)
        if self.source.value == "recorded":
            return self.pipeline.encode(self.recorder.recorded(), "the recording")
        uploaded = self.upload.value
        if not uploaded:
            raise BadInput("nothing has been uploaded yet")
        if len(uploaded) > 1:
            raise BadInput(f"{len(uploaded)} files are uploaded: give one")
        name = one_line(uploaded[0]["name"])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "uploaded"
            path.write_bytes(bytes(uploaded[0]["content"]))
            try:
                return self.pipeline.encode(read_audio(path), name)
            except BadInput as error:
                raise BadInput(str(error).replace(str(path), name)) from None

    def show(self) -> None:
        """Encodes the sentence and shows its score, sound, attention, generated and nearest real images below the
        fields."""
        self.output.clear_output(wait=True)
        with self.output:
            try:
                speech_input = self.speech_input()
            except BadInput as error:
                print(one_line(str(error)))
                return
            print(describe_score(speech_input))
            if words := advice(speech_input, self.pipeline.settings.dataset):
                print(words)
            display(Audio(speech_input.waveform.numpy(), rate=SAMPLE_RATE))
            real = [self.gallery.images[i] for i in self.gallery.nearest(speech_input, self.count)]
            embedding = speech_input.speech_embedding
            generated = [self.pipeline.generate(embedding, seed)[-1] for seed in range(self.count)]
            for figure in (
                plots.attention(speech_input.mel.numpy(), speech_input.attention, speech_input.name),
                plots.contact_sheet([generated, real], ["generated", "nearest real images"]),
            ):
                display(figure)
                pyplot.close(figure)
