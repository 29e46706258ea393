/** A Worker that asks a server as any client would, over a new connection each time, and tells how it went. */

/// <reference lib="deno.worker" />

import { sleep, systemClock } from "@/lib/clock.ts";

export interface Visited {
  readonly url: string;
  /** Null: what is asked needs none. */
  readonly apiKey: string | null;
}

export interface Visits {
  readonly times: readonly number[];
  /** Requests that were not answered with what was asked. */
  readonly failed: number;
}

const EVERY_MS = 50;

let times: number[] = [];
let failed = 0;

async function visit({ url, apiKey }: Visited): Promise<never> {
  const path = apiKey === null ? "/health" : "/api/v1/tenant";
  const headers = apiKey === null ? {} : { Authorization: `Bearer ${apiKey}` };
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 }); // as one that comes new each time
  while (true) {
    const startedAt = systemClock.now();
    try {
      const answer = await fetch(new URL(path, url), { headers, client });
      await answer.text();
      if (answer.ok) times.push(Math.round(systemClock.now() - startedAt));
      else failed += 1;
    } catch {
      failed += 1;
    }
    await sleep(systemClock, EVERY_MS);
  }
}

self.onmessage = ({ data }: MessageEvent<Visited | "take">) => {
  if (data !== "take") return void visit(data);
  const visits: Visits = { times, failed };
  self.postMessage(visits);
  times = [];
  failed = 0;
};
