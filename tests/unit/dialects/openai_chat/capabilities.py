"""What OpenAI's chat completions do not offer, each with its reason; the generated table of dialects shows it."""

from __future__ import annotations

from typing import Final

NOT_OFFERED: Final = {
    "tool-result-media": "a tool's message holds text parts only (ChatCompletionRequestToolMessageContentPart): "
    "https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages",
    "token-count": "no route counts the tokens of a chat completion: "
    "https://platform.openai.com/docs/api-reference/chat",
}
