"""The sounds of a built store's captions, made again: a store holds their log-mels alone."""

from __future__ import annotations

from torch import Tensor

from s2igan import BadInput
from s2igan.config import Settings
from s2igan.data.chunks import Caption, sound_of
from s2igan.data.layout import Wording
from s2igan.data.store import Store
from s2igan.data.synthetic.dataset import wordings_of_image


def caption_sound(store: Store, settings: Settings, caption_id: int) -> Tensor:
    """The waveform [n] at 22,050 Hz of a caption that was spoken: its log-mel is the one in the store.

    A caption without text is worded again from the seed. Raises BadInput for a recording, which lies in the data set's
    folder and not in the store.
    """
    image, voice = int(store.caption_image[caption_id]), store.caption_voice[caption_id]
    if voice == "recording":
        raise BadInput(f"caption {caption_id} is a recording: read it from the folder of the data set")
    text = store.caption_text[caption_id]
    wording = None if text else _wording(store, settings, image, caption_id)
    caption = Caption(image, store.image_name[image], text, voice, None, f"caption {caption_id}", wording)
    return sound_of(caption, store.settings)


def _wording(store: Store, settings: Settings, image: int, caption_id: int) -> Wording:
    """The caption of a synthetic set as it was worded."""
    label, place = int(store.image_class[image]), caption_id - int(store.caption_ids_by_image[image][0])
    number = int(store.image_name[image].rpartition("_")[2]) - 1
    found = wordings_of_image(
        store.dataset,
        store.attributes[store.classes[label]],
        (settings.data_seed, label, number),
        place + 1,
        settings.data_naming,
        settings.data_language,
    )
    return found[place]
