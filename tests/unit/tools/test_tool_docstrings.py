"""Docstrings of the three usual forms."""

import pytest

from backstream.tools.docstring import parse_docstring

GOOGLE = """Look up the weather.

    More on it: of any place.

    Args:
        place: Where, a town
            or a village.

            And more.
        days (int, optional): How many
          days.
        unit (Callable[[int], str]):
            Of degrees: Celsius.
        *more: What else.
        nothing:
    That was it.
        lost: not a parameter

    Returns:
        place: not a parameter.
    """

NUMPY = """Look up the weather.

    Parameters
    ----------
    place : str
        Where, a town
        or a village.

    days, weeks : int, optional
        How many.
    unit
        Of degrees.
    (nothing)

    Returns
    -------
    other : str
        Not a parameter.

    Other Parameters
    ----------------
    more
        What else.
    """

REST = """Look up the weather.

    :param place: Where, a town
        or a village.
    :param int days: How many.
    :type days: int
        never mind
    :keyword unit: Of degrees.
    :returns: The weather.
        not of unit
    Not of it either.
    """


@pytest.mark.parametrize(
    ("docstring", "text", "described"),
    [
        (None, "", {}),
        ("One line.", "One line.", {}),
        ("\n    One line.\n\n    Another: line.\n    ", "One line.\n\nAnother: line.", {}),
        (
            GOOGLE,
            "Look up the weather.\n\nMore on it: of any place.",
            {
                "place": "Where, a town or a village. And more.",
                "days": "How many days.",
                "unit": "Of degrees: Celsius.",
                "more": "What else.",
            },
        ),
        (
            NUMPY,
            "Look up the weather.",
            {
                "place": "Where, a town or a village.",
                "days": "How many.",
                "weeks": "How many.",
                "unit": "Of degrees.",
                "more": "What else.",
            },
        ),
        (
            REST,
            "Look up the weather.",
            {"place": "Where, a town or a village.", "days": "How many.", "unit": "Of degrees."},
        ),
        ("A.\n\nReturns:\n    b: c\n\nArgs:\n    x: y\n", "A.", {"x": "y"}),
        ("Note that\nReturns a thing", "Note that\nReturns a thing", {}),
    ],
)
def test_a_docstring_is_split(docstring, text, described):
    assert parse_docstring(docstring) == (text, described)
