"""The rows of back-ends that somebody hosts.

Quirks are what the page under ``documentation``, another page of the vendor's, or a client that is known to work says.
Where those are silent the row is silent too, and the dialect's own default holds.
"""

from __future__ import annotations

from typing import Final

import msgspec

from backstream.providers.rows_shape import Row

__all__ = ["HOSTED"]

_EMBEDDINGS: Final = "/embeddings"
_IMAGES: Final = "/images/generations"
_SPEECH: Final = "/audio/speech"
_TRANSCRIPTIONS: Final = "/audio/transcriptions"

_SAMPLING_OF_OTHERS: Final = ("top_k", "min_p", "repetition_penalty")
"""What OpenAI does not know; those who refuse unknown members as it does refuse these."""

_OPENAI: Final = Row(
    name="openai",
    label="OpenAI",
    url="https://api.openai.com/v1",
    dialect="openai_chat",
    key_variables=("OPENAI_API_KEY",),
    quirks={"max_tokens": "max_completion_tokens", "system_role": "auto", "unsupported": [*_SAMPLING_OF_OTHERS]},
    embeddings_path=_EMBEDDINGS,
    images_path=_IMAGES,
    speech_path=_SPEECH,
    transcriptions_path=_TRANSCRIPTIONS,
    documentation="https://platform.openai.com/docs/api-reference/chat",
)
_AZURE: Final = Row(
    name="azure",
    label="Azure OpenAI",
    url="",
    url_variable="AZURE_OPENAI_ENDPOINT",
    url_path="/openai/v1",
    dialect="openai_chat",
    key_variables=("AZURE_OPENAI_API_KEY",),
    auth="api-key",
    # its list is of the models there could be; what a request names is a deployment
    models_path=None,
    quirks={"max_tokens": "max_completion_tokens", "unsupported": [*_SAMPLING_OF_OTHERS]},
    embeddings_path=_EMBEDDINGS,
    documentation="https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle",
)
_XAI: Final = Row(
    name="xai",
    label="xAI",
    url="https://api.x.ai/v1",
    dialect="openai_chat",
    key_variables=("XAI_API_KEY",),
    images_path=_IMAGES,
    documentation="https://docs.x.ai/developers/model-capabilities/text/comparison",
)

HOSTED: Final = (
    _OPENAI,
    msgspec.structs.replace(
        _OPENAI,
        name="openai-responses",
        label="OpenAI, Responses API",
        dialect="openai_responses",
        quirks={},
        documentation="https://platform.openai.com/docs/api-reference/responses",
    ),
    _AZURE,
    msgspec.structs.replace(
        _AZURE, name="azure-responses", label="Azure OpenAI, Responses API", dialect="openai_responses", quirks={}
    ),
    Row(
        name="anthropic",
        label="Anthropic",
        url="https://api.anthropic.com/v1",
        dialect="anthropic_messages",
        key_variables=("ANTHROPIC_API_KEY",),
        auth="x-api-key",
        headers={"anthropic-version": "2023-06-01"},
        documentation="https://docs.anthropic.com/en/api/messages",
    ),
    Row(
        name="gemini",
        label="Google Gemini",
        url="https://generativelanguage.googleapis.com/v1beta",
        dialect="gemini",
        # the order in which Google's own clients look
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        auth="x-goog-api-key",
        embeddings_path="/models",
        images_path="/models",
        speech_path="/models",
        documentation="https://ai.google.dev/gemini-api/docs/api-key",
    ),
    Row(
        name="mistral",
        label="Mistral",
        url="https://api.mistral.ai/v1",
        dialect="openai_chat",
        key_variables=("MISTRAL_API_KEY",),
        default_model="mistral-large-latest",
        quirks={
            "prefix": "member",
            "seed": "random_seed",
            "stream_options": False,
            "tool_choice_required": "any",
            "unsupported": [  # it refuses every member that its page does not list
                *(*_SAMPLING_OF_OTHERS, "logit_bias", "logprobs", "top_logprobs", "user", "store", "service_tier"),
                *("verbosity", "modalities", "audio", "name"),
            ],
        },
        embeddings_path=_EMBEDDINGS,
        speech_path=_SPEECH,
        transcriptions_path=_TRANSCRIPTIONS,
        documentation="https://docs.mistral.ai/api",
    ),
    Row(
        name="deepseek",
        label="DeepSeek",
        url="https://api.deepseek.com",
        dialect="openai_chat",
        key_variables=("DEEPSEEK_API_KEY",),
        quirks={"reasoning_field": "reasoning_content", "send_reasoning": True, "json_schema": False},
        documentation="https://api-docs.deepseek.com/guides/thinking_mode",
    ),
    _XAI,
    msgspec.structs.replace(_XAI, name="xai-responses", label="xAI, Responses API", dialect="openai_responses"),
    Row(
        name="groq",
        label="Groq",
        url="https://api.groq.com/openai/v1",
        dialect="openai_chat",
        key_variables=("GROQ_API_KEY",),
        quirks={
            "reasoning_field": "reasoning",
            "think_tags": True,  # its default form of reasoning, for models other than gpt-oss
            "unsupported": [  # what it names as such; and what its page does not list, since it refuses unknown members
                *("logprobs", "logit_bias", "top_logprobs", *_SAMPLING_OF_OTHERS, "verbosity", "modalities", "audio"),
            ],
        },
        speech_path=_SPEECH,
        transcriptions_path=_TRANSCRIPTIONS,
        documentation="https://console.groq.com/docs/openai",
    ),
    Row(
        name="together",
        label="Together AI",
        url="https://api.together.ai/v1",
        dialect="openai_chat",
        key_variables=("TOGETHER_API_KEY",),
        quirks={"reasoning_field": "reasoning"},
        embeddings_path=_EMBEDDINGS,
        images_path=_IMAGES,
        speech_path=_SPEECH,
        transcriptions_path=_TRANSCRIPTIONS,
        documentation="https://docs.together.ai/docs/inference/openai-compatibility",
    ),
    Row(
        name="fireworks",
        label="Fireworks AI",
        url="https://api.fireworks.ai/inference/v1",
        dialect="openai_chat",
        key_variables=("FIREWORKS_API_KEY",),
        quirks={"reasoning_field": "reasoning_content", "think_tags": True},
        embeddings_path=_EMBEDDINGS,
        documentation="https://docs.fireworks.ai/guides/reasoning",
    ),
    Row(
        name="openrouter",
        label="OpenRouter",
        url="https://openrouter.ai/api/v1",
        dialect="openai_chat",
        key_variables=("OPENROUTER_API_KEY",),
        quirks={
            "reasoning_field": "reasoning",
            "reasoning_effort": "reasoning",
            "cache_control": True,
            "document_urls": True,
            "prefix": "plain",
        },
        embeddings_path=_EMBEDDINGS,
        documentation="https://openrouter.ai/docs/use-cases/reasoning-tokens",
    ),
    Row(
        name="cerebras",
        label="Cerebras",
        url="https://api.cerebras.ai/v1",
        dialect="openai_chat",
        key_variables=("CEREBRAS_API_KEY",),
        quirks={
            "max_tokens": "max_completion_tokens",
            "reasoning_field": "reasoning",
            "unsupported": [*_SAMPLING_OF_OTHERS],
        },
        documentation="https://inference-docs.cerebras.ai/api-reference/chat-completions",
    ),
    Row(
        name="cohere",
        label="Cohere, compatibility API",
        url="https://api.cohere.ai/compatibility/v1",
        dialect="openai_chat",
        key_variables=("COHERE_API_KEY",),
        models_path=None,
        models=("command-a-03-2025", "embed-v4.0"),
        quirks={
            "system_role": "developer",
            "json_schema": False,
            "unsupported": [
                *("store", "metadata", "logit_bias", "top_logprobs", "n", "modalities", "prediction", "audio"),
                *("service_tier", "parallel_tool_calls"),
            ],
        },
        embeddings_path=_EMBEDDINGS,
        documentation="https://docs.cohere.com/v2/docs/compatibility-api",
    ),
    Row(
        # its chat completions ended on 27 September 2026; the Agent API answers in the form of Responses
        name="perplexity",
        label="Perplexity, Agent API",
        url="https://api.perplexity.ai/v1",
        dialect="openai_responses",
        key_variables=("PERPLEXITY_API_KEY",),
        documentation="https://docs.perplexity.ai/docs/agent-api/openai-compatibility",
    ),
    Row(
        name="huggingface",
        label="Hugging Face Inference Providers",
        url="https://router.huggingface.co/v1",
        dialect="openai_chat",
        key_variables=("HF_TOKEN",),
        documentation="https://huggingface.co/docs/inference-providers/index",
    ),
    Row(
        name="nvidia",
        label="NVIDIA NIM",
        url="https://integrate.api.nvidia.com/v1",
        dialect="openai_chat",
        key_variables=("NVIDIA_API_KEY",),
        embeddings_path=_EMBEDDINGS,
        documentation="https://docs.api.nvidia.com/nim/reference/llm-apis",
    ),
    Row(
        name="moonshot",
        label="Moonshot AI (Kimi)",
        url="https://api.moonshot.ai/v1",
        dialect="openai_chat",
        key_variables=("MOONSHOT_API_KEY",),
        quirks={
            "max_tokens": "max_completion_tokens",
            "reasoning_field": "reasoning_content",
            "send_reasoning": True,
            "video": True,
        },
        documentation="https://platform.kimi.ai/docs/overview",
    ),
    Row(
        name="zai",
        label="Z.ai (Zhipu, international)",
        url="https://api.z.ai/api/paas/v4",
        dialect="openai_chat",
        key_variables=("ZAI_API_KEY",),
        quirks={"reasoning_field": "reasoning_content"},
        documentation="https://docs.z.ai/api-reference/llm/chat-completion",
    ),
    Row(
        name="zhipu",
        label="Zhipu (mainland China)",
        url="https://open.bigmodel.cn/api/paas/v4",
        dialect="openai_chat",
        key_variables=("ZHIPUAI_API_KEY",),
        embeddings_path=_EMBEDDINGS,
        documentation="https://docs.bigmodel.cn",
    ),
    Row(
        name="qwen",
        label="Qwen (Alibaba Cloud Model Studio, DashScope)",
        url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        dialect="openai_chat",
        key_variables=("DASHSCOPE_API_KEY",),
        quirks={"reasoning_field": "reasoning_content"},
        embeddings_path=_EMBEDDINGS,
        documentation="https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
    ),
)
