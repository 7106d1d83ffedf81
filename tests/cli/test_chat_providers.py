"""``backstream chat`` with providers by name: who answers, tools, schemas, receipts, keys, what goes along."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support_model_server import ModelServer, chat_stream, ollama_stream

pytest.importorskip("pty", reason="terminals of this kind are Unix's")

PNG = (Path(__file__).parents[2] / "examples" / "lighthouse.png").read_bytes()
KEY = "canary-key-6f1d"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[Callable[[ModelServer], ModelServer]]:
    """Close what a test started."""
    started: list[ModelServer] = []

    def keep(one: ModelServer) -> ModelServer:
        started.append(one)
        return one

    yield keep
    for one in started:
        one.close()


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Write a configuration with places of known providers, and more; gives the variables that name it."""

    def write(more: str = "", **urls: str) -> dict[str, str]:
        file = tmp_path / "own.toml"
        file.write_text("".join(f'[providers.{name}]\nurl = "{url}"\n' for name, url in urls.items()) + more)
        return {"BACKSTREAM_CONFIG": str(file), "BACKSTREAM_MODEL": ""}

    return write


def work(url: str, **settings: str) -> str:
    lines = {"url": f"{url}/v1", **settings}
    return "[providers.work]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def call(name: str, arguments: dict[str, Any], index: int = 0) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"index": index, "id": f"call_{name}_{index}", "type": "function", "function": function}]}


# --- who answers ------------------------------------------------------------------------------------------------------


def test_a_running_local_server_is_used_and_named(run, server, configure) -> None:
    ollama = server(ModelServer.ollama(ollama_stream("Hel", "lo")))
    done = run("chat", "hi", **configure(ollama=ollama.url))
    assert (done.returncode, done.stdout) == (0, "Hello\n")
    assert done.stderr == f"backstream: using ollama/llama3.2:latest: Ollama runs at {ollama.url}\n"
    assert ollama.bodies[0]["model"] == "llama3.2:latest"
    assert ollama.bodies[0]["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.usefixtures("quiet_machine")
def test_ollama_is_found_where_it_usually_is(run, server) -> None:
    ollama = server(ModelServer.ollama(ollama_stream("Hello"), port=11434))
    done = run("chat", "hi", BACKSTREAM_MODEL="")
    assert (done.returncode, done.stdout) == (0, "Hello\n")
    assert "using ollama/llama3.2:latest: Ollama runs at http://127.0.0.1:11434" in done.stderr
    assert [path for path, _ in ollama.heads][-1] == "/api/chat"


def test_a_running_local_server_is_used_by_a_session_too(terminal, server, configure) -> None:
    ollama = server(ModelServer.ollama(ollama_stream("Hello"), ollama_stream("Again")))
    session = terminal("chat", **configure(ollama=ollama.url))
    session.expect("using ollama/llama3.2:latest: Ollama runs")
    session.expect("> ")
    for said, answered in (("hi", "Hello"), ("more", "Again")):
        session.type(said + "\n")
        session.expect(answered)
        session.expect("> ")
    session.type("/exit\n")
    assert session.wait() == 0
    assert [message["content"] for message in ollama.bodies[1]["messages"]] == ["hi", "Hello", "more"]


@pytest.mark.usefixtures("quiet_machine")
def test_else_a_provider_with_a_key_answers(run, server, configure) -> None:
    openai = server(ModelServer.openai(chat_stream({"content": "Hi"})))
    done = run("chat", "hi", **configure(work(openai.url, key_variable="WORK_KEY")), WORK_KEY=KEY)
    assert (done.returncode, done.stdout) == (0, "Hi\n")
    assert done.stderr == "backstream: using work/talker-1: WORK_KEY is set\n"
    assert {head.get("authorization") for _, head in openai.heads} == {f"Bearer {KEY}"}
    assert openai.bodies[0]["model"] == "talker-1"


@pytest.mark.usefixtures("quiet_machine")
def test_else_echo_answers(run, configure) -> None:
    done = run("chat", "hi", **configure())
    assert done.stdout.startswith("I am **Echo**")
    assert done.stderr == (
        "backstream: using echo, the embedded backend (not a language model): no local server runs, and no key is set\n"
    )


@pytest.mark.usefixtures("quiet_machine")
def test_a_configured_server_of_the_protocol_answers_as_one_by_url_does(run, serve, configure) -> None:
    url = serve()
    done = run("chat", "--json", "hi", **configure(backstream=url))
    assert json.loads(done.stdout.splitlines()[0])["type"] == "provider"
    assert done.stderr == ""
    assert run("chat", "hi", **configure(backstream=url)).stderr == (
        f"backstream: using {url}: backstream is configured\n"
    )


@pytest.mark.parametrize(
    "arguments", [("-m", "work/talker-1"), ("-m", "quick"), ("--provider", "Work", "-m", "talker-1")]
)
def test_a_model_is_named(run, server, configure, arguments) -> None:
    openai = server(ModelServer.openai(chat_stream({"content": "Hi"})))
    aliases = '[aliases]\nquick = "work/talker-1"\n'
    done = run("chat", "hi", *arguments, **configure(work(openai.url) + aliases))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hi\n", "")
    assert openai.bodies[0]["model"] == "talker-1"


def test_of_a_provider_without_a_default_model_one_is_picked_and_named(run, server, configure) -> None:
    openai = server(ModelServer.openai(chat_stream({"content": "Hi"})))
    done = run("chat", "hi", "--provider", "work", **configure(work(openai.url)))
    assert done.stderr == "backstream: using work/talker-1: picked from its list; name another with --model\n"
    assert openai.bodies[0]["model"] == "talker-1"


def test_a_server_of_another_dialect_needs_no_name(run, server, configure) -> None:
    openai = server(ModelServer.openai(chat_stream({"content": "Hi"})))
    variables = configure()
    place = ("--url", f"{openai.url}/v1", "--dialect", "openai_chat")
    done = run("chat", "hi", *place, "--api-key-env", "MY_KEY", "-m", "some", **variables, MY_KEY=KEY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hi\n", "")
    assert openai.heads[0][1]["authorization"] == f"Bearer {KEY}"
    assert openai.bodies[0]["model"] == "some"
    done = run("chat", "hi", *place, **variables)
    assert f"using talker-1 at {openai.url.removeprefix('http://')}" in done.stderr.replace("http://", "")


def test_a_named_server_wins_over_whatever_runs(run, serve, server, configure) -> None:
    ollama = server(ModelServer.ollama())
    done = run("chat", "hi", BACKSTREAM_URL=serve(), **configure(ollama=ollama.url))
    assert done.stdout.startswith("I am **Echo**")
    assert ollama.heads == []


# --- keys and errors --------------------------------------------------------------------------------------------------


def refusal(status: int, code: str) -> tuple[int, str, bytes]:
    error = {"error": {"message": "no", "type": "invalid_request_error", "code": code}}
    return status, "application/json", json.dumps(error).encode()


@pytest.mark.parametrize(
    ("answer", "code", "advice"),
    [
        (refusal(401, "invalid_api_key"), 4, "check the key in WORK_KEY, or name another variable with --api-key-env"),
        (refusal(404, "model_not_found"), 1, "list the models with: backstream models --provider work"),
        ((404, "text/html", b"<h1>Not Found</h1>"), 1, "check the url of work (backstream providers shows it)"),
        (refusal(429, "rate_limit_exceeded"), 1, "wait before trying again"),
    ],
)
def test_what_a_provider_refuses_is_a_line_that_says_what_to_do(run, server, configure, answer, code, advice) -> None:
    openai = server(ModelServer.openai(answer))
    variables = configure(work(openai.url, key_variable="WORK_KEY"))
    done = run("chat", "-vv", "-m", "work/talker-1", "hi", **variables, WORK_KEY=KEY)
    line = done.stderr.splitlines()[-1]
    assert done.returncode == code
    assert advice in line
    assert KEY not in done.stderr


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (refusal(401, "invalid_api_key"), "; check the key in the variable that --api-key-env names"),
        (refusal(404, "model_not_found"), "; check --model and --url, which often ends in /v1"),
    ],
)
def test_what_a_server_without_a_name_refuses_is_advised_by_the_options_given(run, server, answer, advice) -> None:
    openai = server(ModelServer.openai(answer))
    options = ("--url", f"{openai.url}/v1", "--dialect", "openai_chat", "-m", "x", "--api-key-env", "MY_KEY")
    done = run("chat", *options, "hi", MY_KEY=KEY)
    assert done.stderr.endswith(f"{advice}\n")
    assert KEY not in done.stderr


def test_the_key_that_was_named_is_the_one_to_check(run, server, configure) -> None:
    openai = server(ModelServer.openai(refusal(401, "invalid_api_key")))
    variables = configure(work(openai.url, key_variable="WORK_KEY"))
    done = run(
        "chat", "-m", "work/talker-1", "--api-key-env", "MY_KEY", "hi", **variables, WORK_KEY="other", MY_KEY=KEY
    )
    assert done.stderr.endswith("; check the key in the variable that --api-key-env names\n")


def test_a_provider_that_does_not_run_is_named(run, configure) -> None:
    done = run("chat", "-m", "ollama/llama3.2", "hi", **configure(ollama=NOWHERE))
    assert done.returncode == 1
    assert done.stderr.endswith("; check that ollama runs at http://127.0.0.1:9\n")


def test_a_provider_that_cannot_be_reached_is_a_matter_of_the_network(run, configure) -> None:
    done = run("chat", "-m", "work/x", "hi", **configure(work("http://name.invalid")))
    assert done.returncode == 1
    assert done.stderr.endswith("; check the network, and that work is at http://name.invalid/v1\n")


def test_ctrl_c_closes_the_connection_to_a_provider(start, raw_server, tools, configure) -> None:
    frame = '{"choices":[{"index":0,"delta":{"content":"Hel"}}]}'
    provider = raw_server(tools.sse(frame), hold=True)
    process = start("chat", "-m", "work/x", "hi", **configure(work(provider.url)))
    process.stdin.close()
    process.stdin = None
    assert process.stdout.read(3) == b"Hel"
    tools.interrupt(process)
    out, err = process.communicate(timeout=tools.PATIENCE_SECONDS)
    assert (process.returncode, out, err) == (130, b"\n", b"")
    assert provider.left.wait(tools.PATIENCE_SECONDS)


def test_an_answer_of_a_provider_that_is_cut_off_is_incomplete(run, raw_server, tools, configure) -> None:
    frame = '{"choices":[{"index":0,"delta":{"content":"Hel"}}]}'
    done = run("chat", "-m", "work/x", "hi", **configure(work(raw_server(tools.sse(frame)).url)))
    assert (done.returncode, done.stdout) == (3, "Hel\n")
    assert done.stderr.count("\n") == 1


WRONG = [
    (("-m", "openai/gpt-5"), "openai needs an API key; set OPENAI_API_KEY, or name the variable that holds it with"),
    (("--provider", "opnai"), "unknown provider 'opnai'; did you mean openai"),
    (("-m", "http://127.0.0.1:1/v1"), "name the server with --url"),
    (("--provider", "nobody"), "backstream providers"),
    (("--dialect", "openai_chat"), "--dialect needs --url"),
    (
        ("--url", NOWHERE, "--dialect", "ollama", "--server-key-env", "MY_KEY"),
        "name a provider's key with --api-key-env",
    ),
    (("-m", "openai/gpt-5", "--server-key-env", "MY_KEY"), "--server-key-env is for servers of the backend-api"),
    (("--timeout", "-1"), "--timeout wants seconds; for example --timeout 30, or 0 to wait for ever"),
    (("--deadline", "total=-1"), "--deadline total wants seconds; for example total=30, or total=none"),
    (("--url", NOWHERE, "--dialect", "tea"), "there is no dialect 'tea'; use one of: openai_chat"),
    (("--api-key-env", "MY_KEY"), "name who gets it with --provider NAME"),
    (("--tools", "nonsense"), "write module:function"),
    (("--tools", "no_such_module:f"), "there is no module 'no_such_module'"),
    (("--tools", "json:loads"), "has no annotation"),
    (("--tool-rounds", "0"), "--tool-rounds"),
    (("--schema", "missing.json"), "--schema missing.json: No such file"),
    (("--receipts", "often"), "--receipts"),
]


@pytest.mark.parametrize(
    ("arguments", "text"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_wrong_option_is_one_line_and_2(run, configure, arguments, text) -> None:
    done = run("chat", "hi", *arguments, **configure(), MY_KEY=KEY)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("backstream: ")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert KEY not in done.stderr


# --- tools ------------------------------------------------------------------------------------------------------------

TOOLS = '''
def forecast(city: str, days: int = 1) -> dict:
    """Say how warm it gets.

    Args:
        city: Where.
    """
    return {"celsius": 3}

def broken() -> str:
    raise RuntimeError("no luck")
'''


def test_tools_of_the_working_folder_are_called_and_told(run, server, configure, tmp_path: Path) -> None:
    (tmp_path / "weather.py").write_text(TOOLS)
    rounds = (
        chat_stream(call("forecast", {"city": "Oslo"}), finish="tool_calls"),
        chat_stream(call("broken", {}), call("forecast", {"town": 1}, 1), finish="tool_calls"),
        chat_stream({"content": "3 °C"}),
    )
    openai = server(ModelServer.openai(*rounds))
    chat = ("chat", "-m", "work/talker-1", "--tools", "weather:forecast,broken", "Is it warm?")
    done = run(*chat, **configure(work(openai.url)))
    assert (done.returncode, done.stdout) == (0, "3 °C\n"), done.stderr
    lines = sorted(re.sub(r"in \d+\.\d s", "in 0.0 s", line) for line in done.stderr.splitlines())
    assert lines[0] == "tool broken(): RuntimeError"
    assert lines[1] == 'tool forecast(city="Oslo") gave {"celsius":3} in 0.0 s'
    assert lines[2].startswith('tool forecast({"town": 1}): wrong arguments: ')
    assert len(lines) == 3
    offered = openai.bodies[0]["tools"][0]["function"]
    assert (offered["name"], offered["description"]) == ("forecast", "Say how warm it gets.")
    results = [message for message in openai.bodies[2]["messages"] if message["role"] == "tool"]
    assert [result["tool_call_id"] for result in results] == ["call_forecast_0", "call_broken_0", "call_forecast_1"]
    assert results[0]["content"] == '{"celsius":3}'


def test_two_tools_of_one_name_are_refused(run, configure, tmp_path: Path) -> None:
    (tmp_path / "weather.py").write_text(TOOLS)
    done = run("chat", "--tools", "weather:forecast", "--tools", "weather:forecast", "hi", **configure())
    assert done.returncode == 2
    assert "two tools are named 'forecast'" in done.stderr


def test_rounds_of_tools_are_limited(run, server, configure, tmp_path: Path) -> None:
    (tmp_path / "weather.py").write_text(TOOLS)
    openai = server(ModelServer.openai(chat_stream(call("forecast", {"city": "Oslo"}), finish="tool_calls")))
    tools = ("--tools", "weather:forecast", "--tool-rounds", "2")
    done = run("chat", "-m", "work/talker-1", *tools, "hi", **configure(work(openai.url)))
    assert done.returncode == 3
    assert "still called tools in round 2" in done.stderr
    assert len(openai.bodies) == 2


def test_a_call_that_nobody_runs_is_told(run, server, configure) -> None:
    openai = server(ModelServer.openai(chat_stream(call("forecast", {"city": "Oslo"}), finish="tool_calls")))
    done = run("chat", "-m", "work/talker-1", "hi", **configure(work(openai.url)))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == 'tool call: forecast({"city": "Oslo"})\n'


def test_events_stay_alone_on_standard_output_where_tools_run(run, server, configure, tmp_path: Path) -> None:
    (tmp_path / "weather.py").write_text(TOOLS)
    rounds = (chat_stream(call("forecast", {"city": "Oslo"}), finish="tool_calls"), chat_stream({"content": "3"}))
    openai = server(ModelServer.openai(*rounds))
    chat = ("chat", "--json", "-m", "work/talker-1", "--tools", "weather:forecast", "hi")
    done = run(*chat, **configure(work(openai.url)))
    assert {json.loads(line)["type"] for line in done.stdout.splitlines()} >= {"tool_call_delta", "content", "finish"}
    assert done.stderr.startswith("tool forecast(")


# --- schemas ----------------------------------------------------------------------------------------------------------

PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def ask_for_a_person(run, server, configure, tmp_path: Path, answer, *options: str):
    (tmp_path / "per son.json").write_text(json.dumps(PERSON))
    openai = server(ModelServer.openai(answer))
    chat = ("chat", "-m", "work/talker-1", "--schema", "per son.json", *options, "Who?")
    return run(*chat, **configure(work(openai.url))), openai


def test_an_answer_to_a_schema_is_printed_as_json(run, server, configure, tmp_path: Path) -> None:
    answer = chat_stream({"content": '{"name": '}, {"content": '"Goethe"}'})
    done, openai = ask_for_a_person(run, server, configure, tmp_path, answer)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"name": "Goethe"}
    asked = openai.bodies[0]["response_format"]
    assert (asked["type"], asked["json_schema"]["name"]) == ("json_schema", "per_son")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (chat_stream({"content": "Goethe"}), "the answer is not JSON; ask again"),
        (chat_stream({"content": '{"name": 3}'}), "$.name"),
        (chat_stream({"content": '{"name": '}, finish="length"), "token limit"),
        (chat_stream({"refusal": "I will not."}), "the model refused"),
        (chat_stream(call("f", {}), finish="tool_calls"), "called a tool instead"),
    ],
)
def test_an_answer_that_does_not_fit_is_an_error(run, server, configure, tmp_path: Path, answer, said) -> None:
    done, _ = ask_for_a_person(run, server, configure, tmp_path, answer)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_events_of_an_answer_to_a_schema_are_printed_as_they_came(run, server, configure, tmp_path: Path) -> None:
    done, _ = ask_for_a_person(run, server, configure, tmp_path, chat_stream({"content": '{"name": "x"}'}), "--json")
    assert done.returncode == 0
    assert all("type" in json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize(("text", "said"), [("[]", "no object"), ("{", "not JSON"), ('{"type": 3}', "schema")])
def test_a_file_that_is_no_schema_is_told(run, configure, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "form.json").write_text(text)
    done = run("chat", "--schema", "form.json", "hi", **configure())
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_schema_wants_a_prompt(terminal, tmp_path: Path) -> None:
    (tmp_path / "form.json").write_text(json.dumps(PERSON))
    session = terminal("chat", "--schema", "form.json")
    session.expect("--schema needs a prompt")
    assert session.wait() == 2


# --- receipts, usage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 0, "backstream: ollama: dropped logit_bias"),
        (("--receipts", "drop"), 0, ""),
        (("--receipts", "strict"), 2, "or call with --receipts warn"),
    ],
)
def test_a_parameter_that_is_dropped_is_told(run, server, configure, options, code: int, said: str) -> None:
    ollama = server(ModelServer.ollama(ollama_stream("Hello")))
    chat = ("chat", "-m", "ollama/llama3.2", "-p", 'logit_bias={"1": 2}', "-p", "temperature=0.5", *options, "hi")
    done = run(*chat, **configure(ollama=ollama.url))
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == bool(said)
    if code == 0:
        assert done.stdout == "Hello\n"
        assert ollama.bodies[0]["options"]["temperature"] == 0.5
    else:
        assert ollama.bodies == []


def test_a_dropped_parameter_is_one_dim_line_once_a_session(terminal, server, configure) -> None:
    ollama = server(ModelServer.ollama(ollama_stream("Hello")))
    session = terminal("chat", "-m", "ollama/llama3.2", "-p", 'logit_bias={"1": 2}', **configure(ollama=ollama.url))
    for _ in range(2):
        session.expect("> ")
        session.type("hi\n")
        session.expect("Hello")
    session.expect("> ")
    session.type("/exit\n")
    assert session.wait() == 0
    assert session.seen.count("\x1b[2mbackstream: ollama: dropped logit_bias") == 1


def test_usage_and_cost_are_in_the_log(run, server, configure) -> None:
    usage = {"prompt_tokens": 1200, "completion_tokens": 30, "total_tokens": 1230}
    openai = server(ModelServer.openai(chat_stream({"content": "Hi"}, usage=usage)))
    prices = '[prices."work/talker-1"]\ninput = 1.0\noutput = 10.0\n'
    done = run("chat", "-v", "-m", "work/talker-1", "hi", **configure(work(openai.url) + prices))
    assert "usage: 1,200 input, 30 output tokens; ~0.0015 USD (configuration)" in done.stderr


# --- what goes along --------------------------------------------------------------------------------------------------


def test_a_session_carries_calls_and_results_along(terminal, server, configure, tmp_path: Path) -> None:
    (tmp_path / "weather.py").write_text(TOOLS)
    rounds = (
        chat_stream(call("forecast", {"city": "Oslo"}), finish="tool_calls"),
        chat_stream({"content": "3 degrees"}),
        chat_stream({"content": "wear wool"}),
    )
    openai = server(ModelServer.openai(*rounds))
    chat = ("chat", "--no-markdown", "-m", "work/talker-1", "--tools", "weather:forecast")
    session = terminal(*chat, **configure(work(openai.url)))
    session.expect("using work/talker-1")
    session.expect("> ")
    session.type("warm?\n")
    assert "tool forecast(city=" in plain(session.expect("3 degrees"))
    session.expect("> ")
    session.type("and then?\n")
    session.expect("wear wool")
    session.expect("> ")
    session.type("/save talk.md\n")
    session.expect("saved")
    session.type("/exit\n")
    assert session.wait() == 0
    messages = openai.bodies[2]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert messages[1]["tool_calls"][0]["function"]["name"] == "forecast"
    assert messages[3]["content"] == "3 degrees"
    saved = (tmp_path / "talk.md").read_text()
    assert 'forecast({"city": "Oslo"})' in saved
    assert '## tool\n\n{"celsius":3}' in saved


def test_a_session_gives_back_the_reasoning_a_provider_signed(terminal, server, configure) -> None:
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x"}
    usage = {"input_tokens": 3, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {**message, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hmm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Sure"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    claude = server(ModelServer({}, [(200, "text/event-stream", body)]))
    variables = configure(work(claude.url, dialect="anthropic_messages"))
    session = terminal("chat", "--no-markdown", "-m", "work/x", **variables)
    for said in ("hi", "more"):
        session.expect("> ")
        session.type(said + "\n")
        session.expect("Hmm.")
        session.expect("Sure")
    session.expect("> ")
    session.type("/exit\n")
    assert session.wait() == 0
    answered = claude.bodies[1]["messages"][1]
    assert answered["role"] == "assistant"
    assert {"type": "thinking", "thinking": "Hmm.", "signature": "c2lnbmVk"} in answered["content"]


def test_calls_that_nobody_answered_do_not_go_along(terminal, server, configure) -> None:
    rounds = (
        chat_stream({"content": "let me see"}, call("f", {}), finish="tool_calls"),
        chat_stream({"content": "yes"}),
    )
    openai = server(ModelServer.openai(*rounds))
    session = terminal("chat", "--no-markdown", "-m", "work/talker-1", **configure(work(openai.url)))
    for said, answered in (("hi", r"tool call: f\(\{\}\)"), ("well?", "yes")):
        session.expect("> ")
        session.type(said + "\n")
        session.expect(answered)
    session.expect("> ")
    session.type("/exit\n")
    assert session.wait() == 0
    assert openai.bodies[1]["messages"][1] == {"role": "assistant", "content": "let me see"}


def test_pictures_go_along_with_later_turns(terminal, server, configure, tmp_path: Path) -> None:
    (tmp_path / "light.png").write_bytes(PNG)
    (tmp_path / "large.png").write_bytes(PNG + bytes(17 * 1024 * 1024))
    openai = server(ModelServer.openai(*(chat_stream({"content": f"answer {number}"}) for number in range(3))))
    session = terminal("chat", "-m", "work/talker-1", "-f", "light.png", **configure(work(openai.url)))
    for number, said in enumerate(("what is this?", "which colour?", "and this?")):
        session.expect("> ")
        if number == 2:
            session.type("/media large.png\n")
            session.expect("goes along")
            session.expect("> ")
        session.type(said + "\n")
        session.expect(f"answer {number}")
    session.expect("does not go along with later messages: more than 16 MiB")
    session.expect("> ")
    session.type("/save talk.md\n")
    session.expect("saved")
    session.type("/exit\n")
    assert session.wait() == 0
    first, second = (body["messages"][0]["content"] for body in openai.bodies[:2])
    assert first == second
    assert {part["type"] for part in first} == {"text", "image_url"}
    assert "what is this?" in (tmp_path / "talk.md").read_text()


def test_media_of_parts_are_saved(run, server, configure, tmp_path: Path) -> None:
    picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    openai = server(ModelServer.openai(chat_stream({"content": "Here"}, {"images": images})))
    done = run("chat", "-m", "work/talker-1", "-o", "out", "draw", **configure(work(openai.url)))
    assert done.returncode == 0, done.stderr
    assert "saved out/media-1.png" in done.stderr
    assert (tmp_path / "out" / "media-1.png").read_bytes().startswith(b"\x89PNG")
