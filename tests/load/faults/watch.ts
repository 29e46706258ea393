/** Whether machines live, answer and hold back while faults strike: each is asked from outside, all the time. */

import { type Clock, deadline, sleep, systemClock } from "@/lib/clock.ts";
import type { Machine, Machines } from "@/tests/load/machines.ts";
import type { KindOfFault } from "./kinds.ts";

/** What was seen of all machines but the ones that stood still, for as long as they did. */
export interface Watched {
  /** `/alive`: how often asked, and how often it did not say 200 on a machine that lived on. */
  readonly alive: number;
  readonly notAlive: number;
  /** `/ready`: how often it said 503, and how often nothing. */
  readonly ready: number;
  readonly notReady: number;
  readonly readySilent: number;
  /** Requests that read the database: how many, how many it answered, and the longest. */
  readonly asked: number;
  readonly answered: number;
  readonly longestMs: number;
  /** From the end of the fault to when all that had been asked before it had its answer, and to each one's first good one. */
  readonly settledAfterMs: number;
  readonly answeredAfterMs: number;
  /** Events that one recorder had waiting at the most, those it dropped; from the end of the fault to when none waited. */
  readonly eventsWaiting: number;
  readonly eventsDropped: number;
  readonly storedAfterMs: number;
  /** How much one machine's memory grew by during the fault, at the most. */
  readonly grewMb: number;
}

export interface Watch {
  /** `out`: the number of a machine that is not to be expected to answer; null: all are. */
  began(out: number | null): void;
  ended(): void;
  /** Asks no more; what is on its way is waited for. */
  close(): Promise<Watched>;
}

const ASK_EVERY_MS = 250;
/** Past every deadline of our own: what takes longer counts as never settled, with this. */
const GIVE_UP_MS = 30_000;
const LIVES_MS = 1_000;
/** What waited for the database has its answer so soon after its return. */
const BACK_MS = 3_000;
/** A machine that ends has ended by then. */
const ENDING_MS = 2_000;

interface Asked {
  readonly machine: number;
  readonly atMs: number;
  readonly untilMs: number;
  readonly isGood: boolean;
  /** Of a machine that was not to be expected to answer. */
  readonly isOut: boolean;
}

/** What must be 0: polls that found a machine dead, or silent; events dropped; and what the database's return left waiting. */
export function failed(watched: Watched, { isOfDatabase }: KindOfFault): number {
  const { notAlive, readySilent, eventsDropped, settledAfterMs, storedAfterMs } = watched;
  const late = [settledAfterMs, storedAfterMs].filter((ms) => ms > BACK_MS).length;
  return notAlive + readySilent + eventsDropped + (isOfDatabase ? late : 0);
}

export function watchMachines(machines: Machines, clock: Clock = systemClock): Watch {
  const counts = { alive: 0, notAlive: 0, ready: 0, notReady: 0, readySilent: 0 };
  const asked: Asked[] = [];
  const stored: Asked[] = [];
  const most = { eventsWaiting: 0, eventsDropped: 0, grewMb: 0 };
  const memoryMb = new Map<number, number>(); // by process, before the fault
  const open = new Set<Promise<void>>();
  const ends: number[] = [];
  let isOver = false;
  let out: number | null = null;

  const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

  /** Null: no answer in time, or none at all. */
  async function get(
    url: string,
    withinMs: number,
    headers: Record<string, string> = {},
  ): Promise<{ readonly status: number; readonly body: string } | null> {
    const { signal, cancel } = deadline(clock, withinMs, () => new Error("No answer"));
    try {
      const response = await fetch(url, { signal, headers: { ...headers, Connection: "close" } });
      return { status: response.status, body: await response.text() };
    } catch {
      return null;
    } finally {
      cancel();
    }
  }

  /** Whether what it did not answer is held against it. */
  async function isExpected({ number, pid }: Machine): Promise<boolean> {
    if (out === number) return false;
    await sleep(clock, ENDING_MS);
    const now = machines.machines.find((one) => one.number === number);
    return now?.pid === pid && now.ended === null && out !== number;
  }

  async function lives(machine: Machine): Promise<void> {
    const answers = await Promise.all([
      get(`${machine.url}/alive`, LIVES_MS),
      get(`${machine.operatorUrl}/alive`, LIVES_MS),
    ]);
    counts.alive += answers.length;
    const bad = answers.filter((answer) => answer?.status !== 200).length;
    if (bad > 0 && await isExpected(machine)) counts.notAlive += bad;
  }

  async function isReady(machine: Machine): Promise<void> {
    const wasOut = out === machine.number; // it is asked then, and answers when it is back, or never
    const answer = await get(`${machine.url}/ready`, GIVE_UP_MS);
    counts.ready++;
    if (answer?.status === 503) counts.notReady++;
    else if (answer?.status !== 200 && !wasOut && await isExpected(machine)) counts.readySilent++;
  }

  async function reads({ number, url }: Machine): Promise<void> {
    const atMs = clock.now();
    const key = machines.target.apiKey;
    const answer = await get(`${url}/api/v1/calls?limit=1`, GIVE_UP_MS, bearer(key));
    const isGood = answer?.status === 200;
    asked.push({ machine: number, atMs, untilMs: clock.now(), isGood, isOut: out === number });
  }

  async function stores({ number, operatorUrl, pid }: Machine): Promise<void> {
    const atMs = clock.now();
    const url = `${operatorUrl}/actors/recorder/recorder`;
    const answer = await get(url, LIVES_MS, bearer(machines.operatorToken));
    if (answer?.status !== 200) return;
    const { view: { events, dropped, failures } } = JSON.parse(answer.body); // as the recorder shows itself
    most.eventsWaiting = Math.max(most.eventsWaiting, events);
    most.eventsDropped = Math.max(most.eventsDropped, dropped);
    const isGood = failures === 0;
    stored.push({ machine: number, atMs, untilMs: clock.now(), isGood, isOut: out === number });
    const mb = await residentMb(pid);
    const before = memoryMb.get(pid);
    if (before === undefined || ends.length === 0 && !isStruck) memoryMb.set(pid, mb);
    else most.grewMb = Math.max(most.grewMb, mb - before);
  }

  let isStruck = false;

  async function ask(): Promise<void> {
    while (!isOver) {
      for (const machine of machines.machines) {
        if (machine.ended !== null) continue;
        for (const one of [lives, isReady, reads, stores]) {
          const done = one(machine).finally(() => open.delete(done));
          open.add(done);
        }
      }
      await sleep(clock, ASK_EVERY_MS);
    }
  }

  const asking = ask();

  /** From the last end of a fault to the first good one of each machine, the longest of them. */
  function goodAfter(answers: readonly Asked[]): number {
    const end = ends.at(-1) ?? Infinity;
    const firsts = machines.machines.map(({ number }) =>
      answers.find(({ machine, untilMs, isGood }) => machine === number && isGood && untilMs >= end)
    );
    return Math.max(0, ...firsts.map((first) => (first?.untilMs ?? Infinity) - end));
  }

  return {
    began(victim) {
      isStruck = true;
      out = victim;
    },
    ended() {
      ends.push(clock.now());
      const victim = out;
      // It finds its clock moved on, and what waited in its sockets.
      clock.timer(ENDING_MS, () => out = out === victim ? null : out);
    },
    async close() {
      isOver = true;
      await asking;
      await Promise.all(open);
      const end = ends.at(-1) ?? Infinity;
      const theirs = asked.filter(({ isOut }) => !isOut);
      const before = theirs.filter(({ atMs, untilMs }) => atMs < end && untilMs > end);
      return {
        ...counts,
        asked: theirs.length,
        answered: theirs.filter(({ isGood }) => isGood).length,
        longestMs: Math.round(Math.max(0, ...theirs.map(({ atMs, untilMs }) => untilMs - atMs))),
        settledAfterMs: Math.round(Math.max(0, ...before.map(({ untilMs }) => untilMs - end))),
        answeredAfterMs: Math.round(goodAfter(asked)),
        ...most,
        grewMb: Math.round(most.grewMb),
        storedAfterMs: Math.round(goodAfter(stored)),
      };
    },
  };
}

async function residentMb(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}
