"""The rows of back-ends that run on the user's own machine. None needs a key."""

from __future__ import annotations

from typing import Final

from backstream.providers.rows_shape import Row

__all__ = ["LOCAL"]

LOCAL: Final = (
    Row(
        name="ollama",
        label="Ollama",
        url="http://127.0.0.1:11434",
        dialect="ollama",
        key_needed=False,
        models_path="/api/tags",
        embeddings_path="/api/embed",
        local_ports=(11434,),
        documentation="https://github.com/ollama/ollama/blob/main/docs/api.md",
    ),
    Row(
        name="llamacpp",
        label="llama.cpp server",
        url="http://127.0.0.1:8080/v1",
        dialect="openai_chat",
        key_needed=False,
        # https://github.com/ggml-org/llama.cpp/pull/13174
        quirks={"reasoning_field": "reasoning_content", "think_tags": True, "prefix": "plain"},
        embeddings_path="/embeddings",
        # its default moves from the first to the second, as https://github.com/ggml-org/llama.cpp/pull/26508 announces
        local_ports=(8080, 9931),
        documentation="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
    Row(
        name="vllm",
        label="vLLM",
        url="http://127.0.0.1:8000/v1",
        dialect="openai_chat",
        key_needed=False,
        quirks={"reasoning_field": "reasoning", "think_tags": True, "video": True, "prefix": "final_message"},
        embeddings_path="/embeddings",
        transcriptions_path="/audio/transcriptions",
        local_ports=(8000,),
        documentation="https://docs.vllm.ai/en/latest/features/reasoning_outputs/",
    ),
    Row(
        name="sglang",
        label="SGLang",
        url="http://127.0.0.1:30000/v1",
        dialect="openai_chat",
        key_needed=False,
        # https://github.com/sgl-project/sglang/pull/4226
        quirks={"reasoning_field": "reasoning_content", "think_tags": True, "prefix": "final_message"},
        embeddings_path="/embeddings",
        local_ports=(30000,),
        documentation="https://docs.sglang.ai/basic_usage/openai_api.html",
    ),
    Row(
        name="lmstudio",
        label="LM Studio",
        url="http://127.0.0.1:1234/v1",
        dialect="openai_chat",
        key_needed=False,
        quirks={"think_tags": True},
        embeddings_path="/embeddings",
        local_ports=(1234,),
        documentation="https://lmstudio.ai/docs/app/api/endpoints/openai",
    ),
    Row(
        name="localai",
        label="LocalAI",
        url="http://127.0.0.1:8080/v1",
        dialect="openai_chat",
        key_needed=False,
        quirks={"reasoning_field": "reasoning_content", "think_tags": True},
        embeddings_path="/embeddings",
        images_path="/images/generations",
        speech_path="/audio/speech",
        transcriptions_path="/audio/transcriptions",
        local_ports=(8080,),
        documentation="https://localai.io/features/openai-functions/",
    ),
    Row(
        name="g4f",
        label="g4f (gpt4free)",
        url="http://127.0.0.1:8080",
        dialect="backend_api",
        key_needed=False,
        models_path="/backend-api/v2/models",
        default_model="",
        local_ports=(8080, 1337),
        documentation="https://github.com/xtekky/gpt4free",
    ),
    Row(
        name="backstream",
        label="backstream",
        url="http://127.0.0.1:8080",
        url_variable="BACKSTREAM_URL",
        dialect="backend_api",
        key_needed=False,
        models_path="/backend-api/v2/models",
        default_model="",
        local_ports=(8080,),
        documentation="docs/protocol.md",
    ),
)
