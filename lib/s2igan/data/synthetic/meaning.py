"""What the captions of a built synthetic set mean, in whatever language they are: for measuring, and for the reader."""

from __future__ import annotations

from collections.abc import Collection

from s2igan.config import DEFAULT_LANGUAGE
from s2igan.data.store import Store
from s2igan.data.synthetic.captions import finished, named_attributes
from s2igan.data.synthetic.languages import grammar_of, language_of


def named_in(store: Store, caption_id: int) -> set[str]:
    """The attributes that a caption of a synthetic set names: as the store says, or as its English text tells.

    Raises BadInput for a store that is not synthetic.
    """
    if store.caption_named is None:
        return named_attributes(store.dataset, store.caption_text[caption_id])
    return set(store.caption_named[caption_id])


def gloss(store: Store, caption_id: int) -> str:
    """An English sentence that says what a caption of a synthetic set says, for the reader of a figure.

    It is made of the names of the attributes that the caption names and the values of its class. So it is a rendering
    of the meaning, no translation: it is the same sentence for each wording of this meaning, stands in no store and is
    read by no network. Raises BadInput for a store that is not synthetic.
    """
    values = store.attributes[store.classes[store.image_class[store.caption_image[caption_id]]]]
    return gloss_of(store.dataset, values, named_in(store, caption_id))


def gloss_of(dataset: str, values: dict[str, str], named: Collection[str]) -> str:
    """The same for a caption that names the attributes `named` of these {attribute: value}."""
    grammar = grammar_of(DEFAULT_LANGUAGE, dataset)
    words = {name: grammar.words.get(value, (value,))[0] for name, value in values.items() if name in named}
    details = {name: grammar.details[name][0] for name in words if name in grammar.details}
    sentence = " ".join(grammar.sentences(words, details)[0].split())
    return finished(language_of(DEFAULT_LANGUAGE), sentence)


def shown_text(store: Store, caption_id: int) -> str:
    """What a figure says of a caption: its text, or its gloss in brackets, or '' where there is neither."""
    if store.caption_text[caption_id] or store.caption_named is None:
        return store.caption_text[caption_id]
    return f"[{gloss(store, caption_id)}]"
