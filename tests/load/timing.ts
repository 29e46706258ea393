/** Whether the time of a 404 tells another tenant's thing from a missing one: `timing [--requests 1000]`. */

import { parseArgs } from "node:util";
import { sleep, systemClock } from "@/lib/clock.ts";
import { newId } from "@/lib/ids.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { serverProcess } from "./server_process.ts";

/** Below what a key may ask in a second. */
const PACE_MS = 21;
/** Asked before it is measured. */
const WARM_UP = 50;
/** What may lie between the two medians. */
const APART_MS_MAX = 1;

/** What another company makes, and where it is asked for. */
const THINGS = [
  { prefix: "agent", path: "agents", body: { name: "Front desk", graph: demoAgent } },
  { prefix: "key", path: "api-keys", body: { name: "first", scopes: ["calls:read"] } },
  {
    prefix: "endpoint",
    path: "webhooks",
    body: { url: "https://example.com/hook", events: ["call.ended"] },
  },
] as const;

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { requests: { type: "string", default: "1000" } },
  });
  const requests = Number(values.requests);
  const server = await serverProcess({});
  const api = `${server.url}/api/v1`;

  async function send(path: string, init: RequestInit, token: string): Promise<unknown> {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const answer = await fetch(`${api}/${path}`, { ...init, headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text}`);
    return JSON.parse(text);
  }
  const post = (path: string, body: unknown, token = ""): Promise<unknown> =>
    send(path, { method: "POST", body: JSON.stringify(body) }, token);

  /** Milliseconds to the end of the answer, which must be a 404. */
  async function time(path: string): Promise<number> {
    await sleep(systemClock, PACE_MS);
    const startedAt = systemClock.now();
    const headers = { Authorization: `Bearer ${server.apiKey}` };
    const answer = await fetch(`${api}/${path}`, { headers });
    const text = await answer.text();
    if (answer.status !== 404) {
      throw new Error(
        `${path} answered ${answer.status}: ${text}`,
      );
    }
    return systemClock.now() - startedAt;
  }

  try {
    const { accessToken } = Object(
      await post("auth/signup", {
        email: "bo@example.com",
        password: "correct horse battery",
        name: "Bo",
        tenantName: "Another company",
      }),
    );
    const rows = [];
    for (const thing of THINGS) {
      const { id } = Object(await post(thing.path, thing.body, accessToken));
      const times = { others: new Array<number>(), missing: new Array<number>() };
      for (let nth = -WARM_UP; nth < requests; nth++) {
        // One after the other, in turn: what slows the machine slows both.
        const others = await time(`${thing.path}/${id}`);
        const missing = await time(`${thing.path}/${newId(thing.prefix)}`);
        if (nth < 0) continue;
        times.others.push(others);
        times.missing.push(missing);
      }
      const [othersMs, missingMs] = [median(times.others), median(times.missing)];
      const apartMs = Math.abs(othersMs - missingMs);
      rows.push({ path: thing.path, othersMs, missingMs, apartMs, pass: apartMs <= APART_MS_MAX });
    }
    return { requests, rows, failed: rows.filter(({ pass }) => !pass).length };
  } finally {
    await server.close();
  }
}

/** To the microsecond. */
function median(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return Math.round((sorted[Math.floor(sorted.length / 2)] ?? 0) * 1_000) / 1_000;
}
