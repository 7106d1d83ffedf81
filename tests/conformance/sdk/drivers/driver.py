"""What the drivers in Python have in common: read a line, do what it asks, write what was seen. No package needed.

A driver is a program ``driver BASE_URL`` in its SDK's environment. It reads JSON lines ``{"scenario", "model"}`` and
writes one for each: ``{"scenario", "model", "ok", "seen", "note"}``. ``ok`` is true where the SDK could be asked that,
false where the driver itself failed, and null where the SDK has no way to say it, with the reason in ``note``. Whether
what was seen is right, others judge. The key is in the variable ``SDK_KEY``.

What is to be seen, by scenario:

- text, stream, image: ``text``; ``complete``, whether the SDK says the answer came to its end; ``pieces``, how many.
- reasoning: ``reasoning`` and ``text``, streamed.
- tools: ``tool_calls`` (``name``, ``arguments`` as an object), streamed; then ``text``, whole, told the results.
- structured: ``parsed``. usage: ``usage`` of a whole answer and ``usage_streamed``, each ``{"input", "output"}``.
- error_429, error_401, error_400, error_404: ``error_class``, ``status``, ``retry_after`` (the field, where shown).
- error_in_stream, cut: the ``text`` received, ``error_class`` (null where the SDK raised nothing), ``complete``.
- cancel: the first ``text`` received; then the stream is closed by the SDK's own means.
"""

import json
import os
import sys
from pathlib import Path

ASKED = json.loads((Path(__file__).parent / "asked.json").read_text("utf-8"))
KEY = os.environ["SDK_KEY"]
IMAGE_URI = f"data:{ASKED['image']['media_type']};base64,{ASKED['image']['base64']}"


class NotSayable(Exception):
    """The SDK has no way to say it; the text is the reason."""


def name_of(error):
    """Return the name of an error's class."""
    return type(error).__name__


def answer(scenarios, line):
    """Do what one line asks; ``scenarios`` maps names to functions from a model to what was seen."""
    asked = json.loads(line)
    answered = {**asked, "ok": True, "seen": {}, "note": ""}
    try:
        answered["seen"] = scenarios[asked["scenario"]](asked["model"])
    except NotSayable as reason:
        answered.update(ok=None, note=str(reason))
    except Exception as error:
        answered.update(ok=False, note=f"{name_of(error)}: {error}"[:2000])
    return answered


def run(*, refused, broken, **scenarios):
    """Answer lines until there are no more.

    Each keyword is a scenario's name and its function; ``refused`` serves all whose back-end refuses, and ``broken``
    those whose answer breaks off.
    """
    scenarios |= dict.fromkeys(("error_429", "error_401", "error_400", "error_404"), refused)
    scenarios |= dict.fromkeys(("error_in_stream", "cut"), broken)
    for line in sys.stdin:
        print(json.dumps(answer(scenarios, line)), flush=True)
