import pytest

from backstream.wire.lines import LineAssembler, split_alike


def test_rest_is_what_follows_the_last_line_end():
    lines = LineAssembler(bare_cr=False)
    assert lines.feed(b"a\r\nb\rc") == b"a\r\n"
    assert (lines.rest, lines.rest_size) == (b"b\rc", 3)
    assert lines.feed(b"") == b""
    assert lines.feed(b"d\n\n") == b"b\rcd\n\n"
    assert lines.rest == b""


def test_a_bare_cr_ends_a_line_at_once_and_a_later_lf_does_not_end_another():
    lines = LineAssembler(bare_cr=True)
    assert lines.feed(b"a\r") == b"a\n"
    assert lines.feed(b"") == b""
    assert lines.feed(b"\n") == b""
    assert lines.feed(b"\n\rb\r\nc") == b"\n\nb\n"
    assert lines.rest == b"c"


@pytest.mark.parametrize("start", [b"\xef", b"\xef\xbb", b"\xef\xbbx", b"x"])
def test_a_part_of_a_byte_order_mark_is_data(start):
    lines = LineAssembler(bare_cr=False)
    blocks = [lines.feed(start[at : at + 1]) for at in range(len(start))]
    assert b"".join(blocks) + lines.rest == start


@pytest.mark.parametrize(
    ("block", "mid_event", "expected"),
    [
        (b"data: 1\n\ndata: 2\n\n", False, (b"", b"data: ", [b"1", b"2"], b"")),
        (b"event: a\ndata: 1\n\nevent: a\n", False, (b"", b"event: a\ndata: ", [b"1"], b"event: a\n")),
        (b"data: 1\n\ndata: 2\n\n", True, (b"data: 1\n\n", b"data: ", [b"2"], b"")),
        (b"data: 1\n\ndata: 2\n", True, (b"data: 1\n\ndata: 2\n", b"", [], b"")),
        (b"data: 1\n", True, (b"data: 1\n", b"", [], b"")),
        (b"data: 1\n", False, (b"data: 1\n", b"", [], b"")),
        (b": hi\n\n", False, (b": hi\n\n", b"", [], b"")),
        (b"data: 1\n\nid: 1\ndata: 2\n\n", False, (b"data: 1\n\nid: 1\ndata: 2\n\n", b"", [], b"")),
        (b"data: \n\n", False, (b"", b"data: ", [b""], b"")),
    ],
)
def test_split_alike(block, mid_event, expected):
    assert split_alike(block, mid_event=mid_event) == expected
