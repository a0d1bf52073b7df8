"""What 06_speak is worked with in JupyterLab: fields to type, choose, upload and record a description, by ipywidgets and anywidget.

Nothing here is needed to run the notebook without a person: the fields' first values are those that it shows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import soundfile
import traitlets
from IPython.display import Audio, display
from matplotlib import pyplot

from s2igan import BadInput
from s2igan.data.audio import SAMPLE_RATE, read_audio
from s2igan.demo import sentences
from s2igan.demo.pipeline import Gallery, Pipeline, SpeechInput
from s2igan.demo.speak import describe_score
from s2igan.reporting import plots

WAYS = ("typed", "uploaded", "recorded")


class Recorder(anywidget.AnyWidget):
    """A button that records from the browser's microphone. `samples` are float32, mono, `rate` of them a second; empty before."""

    # The browser decodes what it recorded, whatever its format, and hands over plain samples: no decoder is needed here.
    _esm = """
    function render({ model, el }) {
      const button = document.createElement("button");
      const said = document.createElement("span");
      button.className = "jupyter-button";
      button.textContent = "record";
      el.append(button, said);
      let recorder = null;
      async function start() {
        const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
        const pieces = [];
        recorder = new MediaRecorder(stream);
        recorder.ondataavailable = (event) => pieces.push(event.data);
        recorder.onstop = async () => {
          stream.getTracks().forEach((track) => track.stop());
          recorder = null;
          button.textContent = "record";
          const context = new AudioContext();
          const audio = await context.decodeAudioData(await new Blob(pieces).arrayBuffer());
          await context.close();
          model.set("rate", audio.sampleRate);
          model.set("samples", new DataView(audio.getChannelData(0).slice().buffer));
          model.save_changes();
          said.textContent = ` ${audio.duration.toFixed(1)} s recorded`;
        };
        recorder.start();
        button.textContent = "stop";
        said.textContent = " speak now";
      }
      button.onclick = () => {
        if (recorder) recorder.stop();
        else start().catch((error) => { said.textContent = ` no microphone: ${error.message}`; });
      };
    }
    export default { render };
    """
    samples = traitlets.Bytes(b"").tag(sync=True)
    rate = traitlets.Int(SAMPLE_RATE).tag(sync=True)


class Panel(ipywidgets.VBox):
    """Fields for a description, and a button that hears and paints it below them.

    `heard()` is the description as the fields say it now: what the notebook's cells go on with.
    """

    def __init__(self, painter: Pipeline, gallery: Gallery, text: str, count: int = 5) -> None:
        """`text`: what stands in the field at first. `count`: noises painted from, and real images shown."""
        self.painter, self.gallery, self.count = painter, gallery, count
        wide = ipywidgets.Layout(width="95%")
        self.text = ipywidgets.Text(text, description="say", layout=wide)
        # The first ones are those that the networks learned from; the others they never heard.
        voices = list(dict.fromkeys((*painter.settings.data_voices, *sentences.UNSEEN_VOICES)))
        self.voice = ipywidgets.Dropdown(options=voices, description="voice")
        self.upload = ipywidgets.FileUpload(accept=".wav,.flac,.ogg", description="upload")
        self.recorder = Recorder()
        self.way = ipywidgets.ToggleButtons(options=WAYS, description="take what is")
        self.button = ipywidgets.Button(description="hear and paint", button_style="primary")
        self.output = ipywidgets.Output()
        self.upload.observe(lambda _: setattr(self.way, "value", "uploaded"), "value")
        self.recorder.observe(lambda _: setattr(self.way, "value", "recorded"), "samples")
        self.button.on_click(lambda _: self.show())
        row = ipywidgets.HBox([self.voice, self.upload, self.recorder])
        super().__init__([self.text, row, ipywidgets.HBox([self.way, self.button]), self.output])

    def heard(self) -> SpeechInput:
        """Raises: BadInput where there is nothing to hear."""
        if self.way.value == "typed":
            return self.painter.say(self.text.value, self.voice.value)
        uploaded, recorded = self.upload.value, self.recorder.samples
        if not (uploaded if self.way.value == "uploaded" else recorded):
            raise BadInput(f"nothing has been {self.way.value} yet")
        with tempfile.TemporaryDirectory() as folder:
            if self.way.value == "uploaded":
                path = Path(folder) / Path(uploaded[-1]["name"]).name
                path.write_bytes(bytes(uploaded[-1]["content"]))
            else:
                path = Path(folder) / "recording.wav"
                soundfile.write(path, np.frombuffer(recorded, np.float32), self.recorder.rate)
            return self.painter.hear(read_audio(path), path.name)

    def show(self) -> None:
        """Hears and paints what the fields say, in the place below them."""
        self.output.clear_output(wait=True)
        with self.output:
            try:
                heard = self.heard()
            except BadInput as error:
                print(error)
                return
            print(describe_score(heard, self.painter.novelty))
            display(Audio(heard.waveform.numpy(), rate=SAMPLE_RATE))
            real = [self.gallery.images[i] for i in self.gallery.nearest(heard, self.count)]
            made = [self.painter.paint(heard.embedding, seed)[-1] for seed in range(self.count)]
            for figure in (plots.attention(heard.mel.numpy(), heard.attention, heard.name),
                           plots.contact_sheet([made, real], ["painted", "nearest real images"])):  # fmt: skip
                display(figure)
                pyplot.close(figure)
