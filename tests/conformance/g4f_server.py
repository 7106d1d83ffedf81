"""Run by a foreign interpreter that has g4f: its own web server, with one offline provider of ours behind it."""

import sys

import requests


class Offline:
    """What cannot be fetched offline: some versions ask the net for a list of providers."""

    status_code = 200
    ok = True
    text = ""

    def json(self):
        return {"providers": {}}

    def raise_for_status(self):
        pass


requests.get = lambda *args, **kwargs: Offline()

import g4f.Provider  # noqa: E402
from g4f.providers.base_provider import AsyncGeneratorProvider, ProviderModelMixin  # noqa: E402
from g4f.providers.response import FinishReason, Reasoning  # noqa: E402


class LabEcho(AsyncGeneratorProvider, ProviderModelMixin):
    url = "http://127.0.0.1:9"
    working = True
    needs_auth = False
    supports_message_history = True
    default_model = "echo"
    models = ("echo", "fail", "failmid")

    @classmethod
    async def create_async_generator(cls, model, messages, media=None, api_key=None, **kwargs):
        if model == "fail":
            raise ValueError("the provider said no")
        yield "You said: "
        yield messages[-1]["content"]
        if model == "failmid":
            raise RuntimeError("broke in the middle")
        yield Reasoning("hm")
        for data, name in media or []:
            yield f" [{name} {len(data)} {data[:22]}]"
        yield f" key={api_key} temperature={kwargs.get('temperature')}"
        yield FinishReason("stop")


g4f.Provider.ProviderUtils.convert["LabEcho"] = LabEcho
if hasattr(g4f.Provider, "__map__"):
    g4f.Provider.__map__["LabEcho"] = LabEcho
g4f.Provider.LabEcho = LabEcho
g4f.Provider.G4FSpace = LabEcho  # made from the list that cannot be fetched
try:
    from g4f.client.factory import AbstractClientFactory
except ImportError:  # versions before it
    pass
else:  # looks providers up in that list
    AbstractClientFactory.create_provider = lambda *args, **kwargs: LabEcho
from g4f.gui import get_gui_app  # noqa: E402

get_gui_app().run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
