// The npm package openai, chat completions; `driver BASE_URL` as driver.py says.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { ASKED, BASE_URL, IMAGE_URI, KEY, nameOf, run } from "./driver.mjs";

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: KEY, maxRetries: 0, timeout: 30_000 });
const MESSAGES = [
  { role: "system", content: ASKED.system },
  { role: "user", content: ASKED.text },
];
const TOOLS = ASKED.tools.map((tool) => ({ type: "function", function: tool }));
const Weather = z.object({ city: z.string(), celsius: z.number().int() });

const create = (model, more = {}) => client.chat.completions.create({ model, messages: MESSAGES, ...more });
const counts = (usage) => usage && { input: usage.prompt_tokens, output: usage.completion_tokens };

async function text(model) {
  const [choice] = (await create(model)).choices;
  return { text: choice.message.content, complete: choice.finish_reason === "stop" };
}

/** Note what a stream says, chunk by chunk, so that it is there should the stream break; return the calls. */
async function read(stream, seen) {
  Object.assign(seen, { text: "", reasoning: "", pieces: 0, complete: false, error_class: null });
  const calls = [];
  for await (const chunk of stream) {
    if (chunk.usage) seen.usage = counts(chunk.usage);
    for (const { delta, finish_reason } of chunk.choices) {
      seen.text += delta.content ?? "";
      seen.reasoning += delta.reasoning_content ?? "";
      seen.pieces += delta.content ? 1 : 0;
      seen.complete ||= Boolean(finish_reason);
      for (const piece of delta.tool_calls ?? []) {
        calls[piece.index] ??= { id: piece.id, name: piece.function.name, arguments: "" };
        calls[piece.index].arguments += piece.function?.arguments ?? "";
      }
    }
  }
  return calls;
}

async function stream(model) {
  const seen = {};
  await read(await create(model, { stream: true }), seen);
  return seen;
}

async function tools(model) {
  const calls = await read(await create(model, { tools: TOOLS, stream: true }), {});
  const messages = [
    ...MESSAGES,
    {
      role: "assistant",
      tool_calls: calls.map(({ id, ...called }) => ({ id, type: "function", function: called })),
    },
    ...calls.map(({ id, name }) => ({ role: "tool", tool_call_id: id, content: ASKED.tool_results[name] })),
  ];
  const second = await create(model, { messages, tools: TOOLS });
  return {
    tool_calls: calls.map((call) => ({ name: call.name, arguments: JSON.parse(call.arguments) })),
    text: second.choices[0].message.content,
  };
}

async function image(model) {
  const content = [
    { type: "text", text: ASKED.text },
    { type: "image_url", image_url: { url: IMAGE_URI } },
  ];
  return { text: (await create(model, { messages: [{ role: "user", content }] })).choices[0].message.content };
}

async function structured(model) {
  const response_format = zodResponseFormat(Weather, ASKED.schema_name);
  const parsed = await client.chat.completions.parse({ model, messages: MESSAGES, response_format });
  return { parsed: parsed.choices[0].message.parsed };
}

async function usage(model) {
  const seen = {};
  const whole = await create(model);
  await read(await create(model, { stream: true, stream_options: { include_usage: true } }), seen);
  return { usage: counts(whole.usage), usage_streamed: seen.usage };
}

async function refused(model) {
  try {
    await create(model);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const shown = { retry_after: error.headers.get("retry-after"), request_id: error.requestID };
    return { error_class: nameOf(error), status: error.status, ...shown };
  }
  return {};
}

async function broken(model) {
  const seen = {};
  try {
    await read(await create(model, { stream: true }), seen);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    seen.error_class = nameOf(error);
  }
  return seen;
}

async function cancel(model) {
  const opened = await create(model, { stream: true });
  for await (const chunk of opened) {
    const said = chunk.choices[0]?.delta.content;
    if (said) return { text: said }; // leaving the loop aborts the request
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
  error_in_stream: broken,
  cut: broken,
  cancel,
});
