/** Many callers at once: `calls --calls 20 [--url URL]`. Each plays the demo, and checks its own transcript. */

import { parseArgs } from "node:util";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { FROM } from "./dial.ts";
import { phone, type Phoned, runningServer } from "./phone.ts";
import { serverProcess } from "./server_process.ts";

const CALLS_MAX = 1_000;
/** Between two rings: carriers do not ring all at one instant. */
const RING_EVERY_MS = 50;
/** Each call's events are read so often: the load is the calls, not the readers. */
const LOOK_EVERY_MS = 2_000;

/** `matched`: booked to the end, with a transcript that is what was heard. Gaps are what the callers heard. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: { calls: { type: "string", default: "10" }, url: { type: "string" } },
  });
  const calls = Number(values.calls);
  if (!Number.isInteger(calls) || calls < 1 || calls > CALLS_MAX) {
    throw new AppError("invalid", `--calls takes 1 to ${CALLS_MAX}`, { field: "--calls" });
  }
  const target = values.url === undefined
    ? await serverProcess({ MAX_CALLS: String(calls) })
    : await runningServer(values.url);
  const options = {
    lines: demoCaller,
    agentId: null,
    from: FROM,
    to: DEMO_NUMBER,
    bargeInAtMs: null,
    wavFile: null,
  };
  const reasons: string[] = [];

  async function one(nth: number): Promise<Phoned | null> {
    await sleep(systemClock, nth * RING_EVERY_MS);
    try {
      return await phone(target, options, () => {}, LOOK_EVERY_MS);
    } catch (error) {
      reasons.push(messageOf(error));
      return null;
    }
  }

  try {
    const phoned = await Promise.all(Array.from({ length: calls }, (_, nth) => one(nth)));
    const good = phoned.filter((call) =>
      call?.transcriptMatches && call.brokenWords === 0 &&
      call.transcript?.reason === "agent_hung_up"
    );
    for (const call of phoned) {
      if (call !== null && !good.includes(call)) reasons.push(call.ending);
    }
    const gaps = good.flatMap((call) =>
      (call?.transcript?.events ?? []).flatMap((event) =>
        event.type === "agent_said" && event.gapMs !== null ? [event.gapMs] : []
      )
    ).sort((a, b) => a - b);
    const at = (part: number): number => gaps[Math.floor(part * (gaps.length - 1))] ?? 0;
    return {
      calls,
      matched: good.length,
      failed: calls - good.length,
      brokenWords: phoned.reduce((sum, call) => sum + (call?.brokenWords ?? 0), 0),
      gapP50Ms: at(0.5),
      gapP99Ms: at(0.99),
      reasons: [...new Set(reasons)].slice(0, 10),
    };
  } finally {
    await target.close();
  }
}
