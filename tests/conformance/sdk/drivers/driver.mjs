// What the drivers in JavaScript have in common, as driver.py has it for those in Python; says there what is to be seen.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const ASKED = JSON.parse(readFileSync(new URL("asked.json", import.meta.url), "utf-8"));
export const KEY = process.env.SDK_KEY;
export const BASE_URL = process.argv[2];
export const IMAGE_URI = `data:${ASKED.image.media_type};base64,${ASKED.image.base64}`;

/** Answer lines until there are no more; `scenarios` maps names to async functions from a model to what was seen. */
export async function run(scenarios) {
  for await (const line of createInterface({ input: process.stdin })) {
    const answered = { ...JSON.parse(line), ok: true, seen: {}, note: "" };
    try {
      answered.seen = await scenarios[answered.scenario](answered.model);
    } catch (error) {
      answered.ok = false;
      answered.note = `${nameOf(error)}: ${error?.message ?? error}`.slice(0, 2000);
    }
    process.stdout.write(JSON.stringify(answered) + "\n");
  }
}

/** The name of an error's class. */
export function nameOf(error) {
  return error?.constructor?.name ?? typeof error;
}
