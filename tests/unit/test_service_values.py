"""What services give shows sizes, never content."""

from __future__ import annotations

import pytest

from backstream.services import Embeddings, Images, Passage, Speech, Transcript


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Embeddings(vectors=((1.0, 2.0),)), "<Embeddings 1 of 2 dimensions>"),
        (Embeddings(vectors=()), "<Embeddings 0 of 0 dimensions>"),
        (Speech(data=b"secret", media_type="audio/mpeg"), "<Speech audio/mpeg, 6 bytes>"),
        (Images(images=()), "Images(images=())"),
        (Transcript(text="Hi", words=(Passage(text="Hi"),)), "Transcript(text='Hi', words=(Passage(text='Hi'),))"),
    ],
)
def test_how_values_show_themselves(value: object, shown: str) -> None:
    assert repr(value) == shown
