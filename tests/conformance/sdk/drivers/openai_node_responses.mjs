// The npm package openai, responses; `driver BASE_URL` as driver.py says.

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { ASKED, BASE_URL, IMAGE_URI, KEY, nameOf, run } from "./driver.mjs";

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: KEY, maxRetries: 0, timeout: 30_000 });
const TOOLS = ASKED.tools.map((tool) => ({ type: "function", strict: false, ...tool }));
const Weather = z.object({ city: z.string(), celsius: z.number().int() });

const create = (model, more = {}) =>
  client.responses.create({ model, instructions: ASKED.system, input: ASKED.text, store: false, ...more });
const counts = (usage) => usage && { input: usage.input_tokens, output: usage.output_tokens };

async function text(model) {
  const answer = await create(model);
  return { text: answer.output_text, complete: answer.status === "completed" };
}

/** Note what a stream says, event by event, so that it is there should the stream break; return the last response. */
async function read(stream, seen) {
  Object.assign(seen, { text: "", reasoning: "", pieces: 0, complete: false, error_class: null });
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") {
      seen.text += event.delta;
      seen.pieces += 1;
    } else if (event.type === "response.reasoning_text.delta" || event.type === "response.reasoning_summary_text.delta") {
      seen.reasoning += event.delta;
    } else if (event.type === "response.completed") {
      seen.complete = true;
      seen.usage = counts(event.response.usage);
      return event.response;
    } else if (event.type === "response.failed" || event.type === "response.incomplete") {
      // this package gives these on as events, and raises nothing
      seen.error_class = event.type;
    }
  }
  return null;
}

async function stream(model, more = {}) {
  const seen = {};
  await read(await create(model, { stream: true, ...more }), seen);
  return seen;
}

async function reasoning(model) {
  return stream(model, { reasoning: { effort: "low", summary: "auto" } });
}

async function tools(model) {
  const asking = { role: "user", content: ASKED.text };
  const first = await read(await create(model, { input: [asking], tools: TOOLS, stream: true }), {});
  const calls = first.output.filter((item) => item.type === "function_call");
  const results = calls.map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: ASKED.tool_results[call.name],
  }));
  const second = await create(model, { input: [asking, ...first.output, ...results], tools: TOOLS });
  return {
    tool_calls: calls.map((call) => ({ name: call.name, arguments: JSON.parse(call.arguments) })),
    text: second.output_text,
  };
}

async function image(model) {
  const content = [
    { type: "input_text", text: ASKED.text },
    { type: "input_image", image_url: IMAGE_URI, detail: "auto" },
  ];
  return { text: (await create(model, { input: [{ role: "user", content }] })).output_text };
}

async function structured(model) {
  const format = zodTextFormat(Weather, ASKED.schema_name);
  const input = { instructions: ASKED.system, input: ASKED.text, store: false };
  return { parsed: (await client.responses.parse({ model, ...input, text: { format } })).output_parsed };
}

async function usage(model) {
  const whole = await create(model);
  return { usage: counts(whole.usage), usage_streamed: (await stream(model)).usage };
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
  for await (const event of opened) {
    if (event.type === "response.output_text.delta") return { text: event.delta }; // leaving the loop aborts the request
  }
  return {};
}

await run({
  text,
  stream,
  reasoning,
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
