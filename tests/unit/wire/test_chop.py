import pytest

from backstream.testing.chop import check_cuts, chop
from backstream.wire.jsonlines import JSONLinesDecoder


def test_chop_gives_the_whole_the_bytes_and_every_cut_in_two():
    assert list(chop(b"abc")) == [[b"abc"], [b"a", b"b", b"c"], [b"a", b"bc"], [b"ab", b"c"]]
    assert list(chop(b"")) == [[b""], []]


def test_above_its_limit_chop_gives_a_fixed_choice():
    ways = list(chop(bytes(5000)))
    assert len(ways) == 2002
    assert ways == list(chop(bytes(5000)))
    assert ways != list(chop(bytes(5000), seed=1))
    assert all(sum(map(len, pieces)) == 5000 for pieces in ways)
    assert len(list(chop(bytes(10), every_cut_up_to=4, samples=100))) == 2 + 9


def test_check_cuts_finds_a_decoder_that_looks_at_one_piece_only():
    class Forgetful(JSONLinesDecoder):
        def feed(self, data):
            return data.split(b"\n")

    assert check_cuts(JSONLinesDecoder, b"1\n2\n") == [b"1", b"2"]
    with pytest.raises(AssertionError, match="pieces of"):
        check_cuts(Forgetful, b"1\n2\n")
