// The npm packages ai and @ai-sdk/openai-compatible; `driver BASE_URL` as driver.py says.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, jsonSchema, streamText, tool } from "ai";
import { ASKED, BASE_URL, KEY, nameOf, run } from "./driver.mjs";

const gateway = createOpenAICompatible({
  name: "gateway",
  baseURL: `${BASE_URL}/v1`,
  apiKey: KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const TOOLS = Object.fromEntries(
  ASKED.tools.map(({ name, description, parameters }) => [
    name,
    tool({ description, inputSchema: jsonSchema(parameters) }),
  ]),
);

const asking = (model, more) => ({
  model: gateway(model),
  system: ASKED.system,
  prompt: ASKED.text,
  maxRetries: 0,
  ...more,
});
const counts = (usage) => usage && { input: usage.inputTokens, output: usage.outputTokens };

async function text(model) {
  const answer = await generateText(asking(model));
  return { text: answer.text, complete: answer.finishReason === "stop" };
}

/** Note what a stream says, part by part; an error is a part here. */
async function read(stream, seen) {
  Object.assign(seen, { text: "", reasoning: "", pieces: 0, complete: false, error_class: null, calls: [] });
  for await (const part of stream.fullStream) {
    if (part.type === "text-delta") {
      seen.text += part.text;
      seen.pieces += 1;
    } else if (part.type === "reasoning-delta") {
      seen.reasoning += part.text;
    } else if (part.type === "tool-call") {
      seen.calls.push(part);
    } else if (part.type === "error") {
      seen.error_class = part.error?.name ?? nameOf(part.error);
    } else if (part.type === "finish") {
      seen.complete = ["stop", "tool-calls"].includes(part.finishReason);
      seen.usage = counts(part.totalUsage);
    }
  }
  return seen;
}

const stream = (model, more) => read(streamText({ ...asking(model, more), onError() {} }), {});

async function tools(model) {
  const first = streamText({ ...asking(model), tools: TOOLS, onError() {} });
  const { calls } = await read(first, {});
  const content = calls.map(({ toolCallId, toolName }) => ({
    type: "tool-result",
    toolCallId,
    toolName,
    output: { type: "text", value: ASKED.tool_results[toolName] },
  }));
  const messages = [
    { role: "user", content: ASKED.text },
    ...(await first.response).messages,
    { role: "tool", content },
  ];
  const second = await generateText(asking(model, { prompt: undefined, messages, tools: TOOLS }));
  return {
    tool_calls: calls.map(({ toolName, input }) => ({ name: toolName, arguments: input })),
    text: second.text,
  };
}

async function image(model) {
  const picture = { type: "image", image: Buffer.from(ASKED.image.base64, "base64"), mediaType: ASKED.image.media_type };
  const content = [{ type: "text", text: ASKED.text }, picture];
  const answer = await generateText(asking(model, { prompt: undefined, messages: [{ role: "user", content }] }));
  return { text: answer.text };
}

async function structured(model) {
  const output = Output.object({ schema: jsonSchema(ASKED.schema), name: ASKED.schema_name });
  return { parsed: (await generateText(asking(model, { output }))).output };
}

async function usage(model) {
  const whole = await generateText(asking(model));
  return { usage: counts(whole.usage), usage_streamed: (await stream(model)).usage };
}

async function refused(model) {
  try {
    await generateText(asking(model));
  } catch (error) {
    if (!APICallError.isInstance(error)) throw error;
    return { error_class: error.name, status: error.statusCode, retry_after: error.responseHeaders["retry-after"] };
  }
  return {};
}

async function cancel(model) {
  const leaving = new AbortController();
  const opened = streamText({ ...asking(model), abortSignal: leaving.signal, onError() {} });
  for await (const said of opened.textStream) {
    leaving.abort();
    return { text: said };
  }
  return {};
}

await run({
  text,
  stream,
  reasoning: stream,
  tools,
  image,
  structured,
  usage,
  error_429: refused,
  error_401: refused,
  error_400: refused,
  error_404: refused,
  error_in_stream: stream,
  cut: stream,
  cancel,
});
