/**
 * What becomes of live calls when a machine fails: `faults --kind kill9 [--calls 10] [--nodes 3] [--times 1]`.
 * Whole machines, a real PostgreSQL, the simulated carrier; each caller hears, and says again what nobody has taken.
 */

import { parseArgs } from "node:util";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { isAudible } from "@/lib/audio/energy.ts";
import { connect } from "@/db/client.ts";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { silentLog } from "@/lib/log.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { type Caller, newCaller } from "@/tests/support/caller.ts";
import { playedWords } from "@/tests/support/heard.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";
import type { MediaStream } from "@/tests/support/twilio_media.ts";
import { placeInbound } from "@/tests/support/twilio.ts";
import { network, type Reach } from "@/tests/support/twilio_webhooks.ts";
import { TIMINGS } from "@/actors/cluster/membership.ts";
import { type Machine, type Machines, startMachines } from "./machines.ts";
import { CALL_MAX_MS, FROM } from "./phone.ts";

const KINDS = ["kill9", "stop", "sigstop", "postgres"] as const;
type KindOfFault = typeof KINDS[number];

const CALLS_MAX = 300;
/** Between two rings. */
const RING_EVERY_MS = 60;
/** From the last ring to the fault: callers and agents are in the middle of it. */
const TALK_MS = 3_000;
/** A line that ended so shortly before the fault may not have been taken: people say it again. */
const UNTAKEN_MS = 1_000;
/** Nobody talks to a dead line, nor hangs up while it may come back. */
const PATIENCE_MS = 30_000;
const STEP_BYTES = 40; // 5 ms
const QUERY_MS = 10_000;
/** The end of a call is on record by then. */
const SETTLE_MS = 15_000;

/** As carriers reach a house: a connection a request, so that none leads to a machine that has stopped since. */
const REACH: Reach = {
  ...network("", ""),
  async post(url, form, headers) {
    const response = await fetch(url, {
      method: "POST",
      body: form,
      headers: { ...headers, Connection: "close" },
    });
    return { status: response.status, body: await response.text() };
  },
};

interface Fallen {
  readonly phoned: FakeCall;
  readonly callId: string | null;
  /** Its stream ended, and the call had not. */
  readonly silencesMs: readonly number[];
}

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kind: { type: "string", default: "kill9" },
      calls: { type: "string", default: "10" },
      nodes: { type: "string", default: "3" },
      times: { type: "string", default: "1" },
      leases: { type: "string", default: "1.5" },
      seconds: { type: "string", default: "5" },
    },
  });
  const kind = KINDS.find((it) => it === values.kind);
  if (kind === undefined) {
    throw new AppError("invalid", `--kind takes ${KINDS.join(", ")}`, { field: "--kind" });
  }
  const calls = whole("--calls", values.calls, CALLS_MAX);
  const nodes = whole("--nodes", values.nodes, 9);
  const times = whole("--times", values.times, 1_000);
  const machines = await startMachines({ nodes, port: 0, env: { MAX_CALLS: String(calls) } });
  const all: Fallen[] = [];
  try {
    for (let nth = 0; nth < times; nth++) {
      const victim = machines.machines[nth % nodes];
      if (victim === undefined) break;
      const strike = striking(machines, kind, {
        victim,
        stillMs: Number(values.leases) * TIMINGS.ttlMs,
        awayMs: Number(values.seconds) * 1_000,
      });
      all.push(...await round(machines, { calls, isStill: kind === "sigstop", strike }));
      if (victim.ended !== null) await machines.start(victim.number);
    }
    return { kind, calls: all.length, times, ...await judge(machines, all) };
  } finally {
    await machines.close();
  }
}

/** What happens to one machine, or to all of them; resolves when it is over. */
function striking(
  machines: Machines,
  kind: KindOfFault,
  { victim, stillMs, awayMs }: {
    readonly victim: Machine;
    readonly stillMs: number;
    readonly awayMs: number;
  },
): () => Promise<void> {
  const { number } = victim;
  switch (kind) {
    case "kill9":
      return () => machines.signal(number, "SIGKILL");
    case "stop":
      return () => machines.signal(number, "SIGTERM");
    case "sigstop":
      return async () => {
        await machines.signal(number, "SIGSTOP");
        await sleep(systemClock, stillMs);
        await machines.signal(number, "SIGCONT");
      };
    case "postgres":
      return async () => {
        await machines.postgres.halt("immediate");
        await sleep(systemClock, awayMs);
        await machines.postgres.start();
      };
  }
}

/** Calls come up, the fault strikes, and the calls run to their ends. */
async function round(
  machines: Machines,
  { calls, isStill, strike }: {
    readonly calls: number;
    readonly isStill: boolean;
    readonly strike: () => Promise<void>;
  },
): Promise<Fallen[]> {
  const ringing: Promise<Fallen>[] = [];
  let struckAtMs = Infinity;
  for (let nth = 0; nth < calls; nth++) {
    ringing.push(one(machines, { isStill, struckAtMs: () => struckAtMs }));
    await sleep(systemClock, RING_EVERY_MS);
  }
  await sleep(systemClock, TALK_MS);
  struckAtMs = systemClock.now();
  await strike();
  return await Promise.all(ringing);
}

/** One call, whose caller goes on over every stream that it is given. */
async function one(
  { target }: Machines,
  { isStill, struckAtMs }: { readonly isStill: boolean; readonly struckAtMs: () => number },
): Promise<Fallen> {
  const callers: Caller[] = []; // one a stream
  let said = 0;
  const lost: number[] = [];

  function streamed(stream: MediaStream): void {
    const before = callers.at(-1);
    const last = before?.lines.at(-1);
    const isUntaken = last !== undefined && last.endsAtMs > struckAtMs() - UNTAKEN_MS;
    if (isUntaken) said--;
    const isTheirTurn = isUntaken || (before?.isTheirTurn ?? false);
    before?.stop();
    callers.push(newCaller({
      clock: systemClock,
      stream,
      lines: demoCaller.slice(said),
      patienceMs: PATIENCE_MS,
      isTheirTurn,
      hangUp: () => phoned?.hangUp(),
      said: () => void said++,
    }));
  }

  let phoned: FakeCall | null = null;
  const up = await placeInbound({
    webhookUrl: `${target.url}/twilio/voice`,
    publicUrl: target.url,
    authToken: target.carrierToken,
    from: FROM,
    to: DEMO_NUMBER,
    clock: systemClock,
    ...(target.twilio === null ? {} : { twilio: target.twilio }),
    reach: REACH,
    streamed,
  });
  phoned = up;
  const cancel = systemClock.timer(CALL_MAX_MS, () => up.hangUp());
  await up.ended;
  cancel();
  for (const caller of callers) caller.stop();
  const opened = up.log.flatMap((entry) => entry.type === "streamOpened" ? [entry.url] : []);
  const callId = /\/media\/[^/]+\/([^/]+)\//.exec(opened[0] ?? "")?.[1] ?? null;
  up.streams.slice(1).forEach((stream, nth) => {
    const before = up.log.filter((entry) => entry.type === "streamEnded")[nth];
    const theirs = callers[nth + 1]?.lines[0]?.startedAtMs ?? Infinity;
    const first = Math.min(firstSound(stream) ?? Infinity, theirs); // whoever speaks first
    if (before === undefined || first === Infinity) return;
    // The stream of a machine that stands still has no end: its callers hear nothing from then on.
    lost.push(first - (isStill ? Math.min(before.atMs, struckAtMs()) : before.atMs));
  });
  return { phoned: up, callId, silencesMs: lost };
}

/** When the caller heard something of a stream; null: never. */
function firstSound({ player }: MediaStream): number | null {
  for (const { audio, atMs } of player.pieces()) {
    for (let at = 0; at < audio.length; at += STEP_BYTES) {
      if (isAudible(audio.subarray(at, at + STEP_BYTES))) return atMs + at / BYTES_PER_MS;
    }
  }
  return null;
}

/** What is on record of the calls, held against what their callers heard. */
async function judge(
  { postgres }: Machines,
  all: readonly Fallen[],
): Promise<Record<string, unknown>> {
  const database = await connect({ at: { url: postgres.url }, clock: systemClock, log: silentLog });
  const silences: number[] = [];
  const why = new Map<string, number>();
  let [struck, resumed, lost, doubleActs, staleWrites, eventsLost] = [0, 0, 0, 0, 0, 0];
  try {
    for (const { phoned, callId, silencesMs } of all) {
      const ending = await phoned.ended;
      const wasStruck = phoned.log.some(({ type }) => type === "streamEnded") &&
        phoned.log.filter(({ type }) => type === "asked").length > 1;
      const record = callId === null ? null : await settled(database, callId);
      const isWhole = record?.outcome === "answered" && record.reason === "agent_hung_up";
      if (wasStruck) struck++;
      if (wasStruck && isWhole && silencesMs.length > 0) resumed++;
      if (!isWhole) {
        lost++;
        const what =
          `${ending.by}: ${ending.reason}; on record ${record?.outcome}, ${record?.reason}`;
        why.set(what, (why.get(what) ?? 0) + 1);
      }
      if (record === null) continue;
      silences.push(...silencesMs);
      doubleActs += Math.max(0, record.ends - 1) + Math.max(0, record.told - 1);
      eventsLost += record.lastSeq - record.events;
      const heard = phoned.streams.flatMap((stream) => playedWords(stream).map(({ text }) => text));
      if (record.said.split(/\s+/).length > heard.length) staleWrites++;
    }
  } finally {
    await database.close();
  }
  silences.sort((a, b) => a - b);
  const at = (part: number): number | null =>
    silences.length === 0 ? null : Math.round(silences[Math.ceil(part * silences.length) - 1] ?? 0);
  return {
    struck,
    resumed,
    lost,
    silenceP50Ms: at(0.5),
    silenceP99Ms: at(0.99),
    doubleActs,
    staleWrites,
    eventsLost,
    failed: lost,
    reasons: Object.fromEntries(why),
  };
}

/** Once its end is stored, or nobody has stored it in time. */
async function settled(
  database: Awaited<ReturnType<typeof connect>>,
  callId: string,
): Promise<OnRecord | null> {
  const until = systemClock.now() + SETTLE_MS;
  for (;;) {
    const record = await read(database, callId);
    if (record?.outcome !== null || systemClock.now() >= until) return record;
    await sleep(systemClock, RING_EVERY_MS);
  }
}

interface OnRecord {
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly events: number;
  readonly lastSeq: number;
  /** Events `call_ended`, and `call.ended` that went to who listens. */
  readonly ends: number;
  readonly told: number;
  /** The agent's words that the transcript holds. */
  readonly said: string;
}

async function read(
  database: Awaited<ReturnType<typeof connect>>,
  callId: string,
): Promise<OnRecord | null> {
  const id = uuidOf("call", callId);
  return await database.asOwner(QUERY_MS, async (sql) => {
    const [row] = await sql<OnRecord[]>`
      select c.outcome, c.reason, count(e.*)::int as events, coalesce(max(e.seq), 0)::int as last_seq,
        (count(*) filter (where e.type = 'call_ended'))::int as ends,
        (select count(*)::int from outbox o
          where o.type = 'call.ended' and o.payload ->> 'id' = ${callId}) as told,
        coalesce(string_agg(e.payload ->> 'text', ' ') filter (where e.type = 'agent_said'), '') as said
      from call c left join conversation_event e
        on e.tenant_id = c.tenant_id and e.conversation_id = c.id
      where c.id = ${id} group by c.tenant_id, c.id`;
    return row ?? null;
  });
}

function whole(field: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new AppError("invalid", `${field} takes a whole number from 1 to ${max}`, { field });
}
