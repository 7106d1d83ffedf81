"""What is sent as a form, our own server's parser reads the same, however it is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backstream.wire.form import FormFile, render_form
from backstream.wire.multipart import MultipartDecoder, PartBegin, PartData

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters='"\\;'), min_size=1)
FILES = st.lists(st.tuples(NAMES, NAMES, st.binary()))


@given(st.lists(st.tuples(NAMES, st.text(st.characters(exclude_categories=["Cs"])))), FILES, st.integers(1, 50))
def test_a_form_is_read_as_it_was_written(
    fields: list[tuple[str, str]], files: list[tuple[str, str, bytes]], step: int
) -> None:
    boundary = "f3a9c1d2e4b5a697f3a9c1d2e4b5a697"
    body = b"".join(
        piece if isinstance(piece, bytes) else b"".join(piece.blocks())
        for piece in render_form(
            fields,
            [FormFile(name=name, filename=file, content_type="image/png", content=data) for name, file, data in files],
            boundary,
        )
    )
    decoder = MultipartDecoder(boundary.encode(), max_parts=1000)
    events = [event for at in range(0, len(body), step) for event in decoder.feed(body[at : at + step])]
    decoder.finish()
    parts: list[tuple[PartBegin, bytes]] = []
    for event in events:
        if isinstance(event, PartBegin):
            parts.append((event, b""))
        elif isinstance(event, PartData):
            parts[-1] = (parts[-1][0], parts[-1][1] + event.data)
    assert [(begin.name, begin.filename, data) for begin, data in parts] == [
        *((name, None, value.encode()) for name, value in fields),
        *((name, file, data) for name, file, data in files),
    ]
