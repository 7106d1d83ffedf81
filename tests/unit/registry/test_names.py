"""What the name of a model means."""

from __future__ import annotations

import pytest

from backstream.errors import CallerError, ConfigurationError, UnknownModelError, UnknownProviderError
from backstream.registry.names import Names, Target

NAMES = Names(
    defaults={
        "openai": "",
        "anthropic": "",
        "azure-responses": "",
        "mistral": "mistral-large-latest",
        "groq": "",
        "together": "",
        "ollama": "",
        "echo": "",
    },
    aliases={"fast": "groq/llama", "quick": "fast", "big": "gpt-5", "mistral-old": "mistral"},
    models={
        "openai": ("gpt-5", "gpt-5-mini"),
        "groq": ("llama", "openai/gpt-oss-120b", "meta-llama/scout"),
        "together": ("llama", "meta-llama/scout", "mistralai/mixtral"),
        "ollama": ("llama3.2:latest", "qwen3:8b"),
    },
    usable=("together", "ollama"),
)


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai/gpt-5", "openai", "gpt-5"),
        ("openai/anything", "openai", "anything"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("openai/gpt-oss-120b", "openai", "gpt-oss-120b"),
        ("openai", "openai", ""),
        ("OpenAI/GPT-5", "openai", "GPT-5"),
        ("mistral", "mistral", "mistral-large-latest"),
        ("mistral/", "mistral", "mistral-large-latest"),
        ("fast", "groq", "llama"),
        ("quick", "groq", "llama"),
        ("big", "openai", "gpt-5"),
        ("mistral-old", "mistral", "mistral-large-latest"),
        ("gpt-5-mini", "openai", "gpt-5-mini"),
        ("llama", "together", "llama"),
        ("meta-llama/scout", "together", "meta-llama/scout"),
        ("llama3.2", "ollama", "llama3.2:latest"),
        ("qwen3:8b", "ollama", "qwen3:8b"),
    ],
)
def test_a_name_means(name: str, provider: str, model: str) -> None:
    assert NAMES.resolve(name) == Target(provider, model)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("gpt-6", UnknownModelError, "unknown model 'gpt-6'; did you mean gpt-5"),
        ("zzzz", UnknownModelError, "unknown model 'zzzz'; list the models there are"),
        ("fats", UnknownModelError, "did you mean fast"),
        ("mistrl", UnknownModelError, "did you mean mistral"),
        ("llama9", UnknownModelError, "unknown model 'llama9'; did you mean llama?"),
        ("claude-sonnet-4-5", UnknownModelError, "did you mean anthropic/claude-sonnet-4-5?"),
        ("o3", UnknownModelError, "did you mean openai/o3?"),
        ("deepseek-chat", UnknownModelError, "unknown model 'deepseek-chat'; list the models there are"),
        ("opnai/gpt-5", UnknownProviderError, "unknown provider 'opnai'; did you mean openai?"),
        ("zzz/gpt-5", UnknownProviderError, "unknown provider 'zzz'; list the providers there are"),
        ("meta-llama/scuot", UnknownModelError, "did you mean meta-llama/scout"),
        ("http://127.0.0.1:8000", ConfigurationError, "a URL is no name of a model"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name: str, error: type[CallerError], said: str) -> None:
    with pytest.raises(error) as caught:
        NAMES.resolve(name)
    assert said in str(caught.value)


def test_the_most_wanted_provider_of_a_model_is_taken() -> None:
    for usable in (("groq", "together"), ("together", "groq")):
        names = Names(defaults=NAMES.defaults, models=NAMES.models, usable=usable)
        assert names.resolve("llama").provider == usable[0]


def test_a_name_of_several_providers_that_none_could_answer_lists_them() -> None:
    names = Names(defaults=NAMES.defaults, models=NAMES.models, usable=("openai",))
    with pytest.raises(ConfigurationError, match=r"several providers have .*: groq/llama, together/llama"):
        names.resolve("llama")


def test_aliases_in_a_circle_are_told() -> None:
    with pytest.raises(ConfigurationError, match="the aliases lead in a circle"):
        Names(defaults={}, aliases={"a": "b", "b": "a"}).resolve("a")


def test_a_target_says_its_name() -> None:
    assert str(Target("groq", "meta/llama")) == "groq/meta/llama"
