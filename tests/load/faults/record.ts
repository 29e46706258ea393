/** What is on record of calls, held against what their callers heard and did. */

import type { Database } from "@/db/client.ts";
import { asJson } from "@/db/json.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { uuidOf } from "@/lib/ids.ts";
import { type PlayedWord, playedWords } from "@/tests/support/heard.ts";
import { type Fallen, plain } from "./calls.ts";
import { countWrites, type StaleWrite, staleWrites } from "@/tests/support/write_witness.ts";

const QUERY_MS = 10_000;
/** The ends of calls are on record by then, and nobody owns them any more. */
const SETTLE_MS = 15_000;
const LOOK_EVERY_MS = 250;

/** What became of calls. */
export interface Verdict {
  readonly calls: number;
  /** To the rows of calls and of their events, by all machines. */
  readonly writes: number;
  /** Calls that lost a stream and had not ended, and those of them that went on to their end. */
  readonly struck: number;
  readonly resumed: number;
  readonly lost: number;
  readonly silenceP50Ms: number | null;
  readonly silenceP99Ms: number | null;
  /** Ends, and webhooks of them, beyond the first of a call. */
  readonly doubleActs: number;
  /** Writes of machines that did not own the call. */
  readonly staleWrites: number;
  /** Audio of an old stream that the caller heard on the new one. */
  readonly staleFrames: number;
  /** Gaps in the order of events, and what the caller said that is not on record. */
  readonly eventsLost: number;
  /** Words of the agent's on record that the caller did not hear. */
  readonly unheard: number;
  /** Calls that have ended, and that a machine which is not dead owns still. */
  readonly owned: number;
  /** How the lost ones ended, what is missing, and which writes were stale. */
  readonly reasons: Readonly<Record<string, number>>;
}

export async function judge(database: Database, all: readonly Fallen[]): Promise<Verdict> {
  const ids = all.flatMap(({ callId }) => callId === null ? [] : [callId]);
  const records = await settled(database, ids);
  const silences: number[] = [];
  const why = new Map<string, number>();
  let [struck, resumed, lost, doubleActs, eventsLost, unheard, staleFrames] = [0, 0, 0, 0, 0, 0, 0];
  for (const fallen of all) {
    const { phoned, callId, silencesMs } = fallen;
    const ending = await phoned.ended;
    const record = records.get(callId ?? "");
    const isWhole = record?.outcome === "answered" && record.reason === "agent_hung_up";
    const wasStruck = phoned.log.some(({ type }) => type === "streamEnded") &&
      phoned.log.filter(({ type }) => type === "asked").length > 1;
    if (wasStruck) struck++;
    if (wasStruck && isWhole && silencesMs.length > 0) resumed++;
    if (!isWhole) {
      lost++;
      const { outcome, reason } = record ?? {};
      count(why, `${ending.by}: ${ending.reason}; on record ${outcome}, ${reason}`);
    }
    staleFrames += fallen.staleFrames;
    if (record === undefined) continue;
    silences.push(...silencesMs);
    doubleActs += Math.max(0, record.ends - 1) + Math.max(0, record.told - 1);
    const missed = untaken(fallen, record);
    for (const line of missed) count(why, `"${line}" not in ${JSON.stringify(record.taken)}`);
    eventsLost += record.lastSeq - record.events + missed.length;
    const extra = unheardOf(record.said, phoned.streams.flatMap(playedWords));
    unheard += extra.length;
    if (extra.length > 0) count(why, `on record, and not heard: ${extra.join(" ")}`);
  }
  const stale = await staleWrites(database);
  for (const write of stale) count(why, told(write));
  return {
    ...{ calls: all.length, writes: await countWrites(database) },
    ...{ struck, resumed, lost },
    ...percentiles(silences),
    ...{ doubleActs, staleWrites: stale.length, staleFrames, eventsLost, unheard },
    owned: [...records.values()].filter(({ isOwned }) => isOwned).length,
    reasons: Object.fromEntries(why),
  };
}

/** All that must be 0. */
export function failures(verdict: Verdict): number {
  const { lost, doubleActs, staleWrites, staleFrames, eventsLost, unheard, owned } = verdict;
  return lost + doubleActs + staleWrites + staleFrames + eventsLost + unheard + owned;
}

function count(of: Map<string, number>, what: string): void {
  of.set(what, (of.get(what) ?? 0) + 1);
}

function told({ what, writer, epoch, owner }: StaleWrite): string {
  return `${what}, written by ${writer} in epoch ${epoch} of ${owner}`;
}

function percentiles(values: readonly number[]): Pick<Verdict, "silenceP50Ms" | "silenceP99Ms"> {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number | null =>
    sorted.length === 0 ? null : Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0);
  return { silenceP50Ms: at(0.5), silenceP99Ms: at(0.99) };
}

/**
 * What the caller has said, and no turn on record begins with. Of a line that was cut off and said again
 * its beginning may be a turn: what came through is what the agent answers.
 */
function untaken({ finished }: Fallen, record: OnRecord): readonly string[] {
  const taken = record.taken.map(plain).join(" ");
  const beginning = (text: string): string => plain(text).split(" ").slice(0, 3).join(" ");
  return [...new Set(finished)].filter((text) => !taken.includes(beginning(text)));
}

/** Words on record that were not heard, in this order; what was heard and is not on record does not matter. */
function unheardOf(said: string, played: readonly PlayedWord[]): readonly string[] {
  let at = 0;
  return said.split(/\s+/).filter((word) => {
    if (word === "") return false;
    const found = played.findIndex(({ text }, nth) => nth >= at && text === word);
    if (found !== -1) at = found + 1;
    return found === -1;
  });
}

interface OnRecord {
  readonly id: string;
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly events: number;
  readonly lastSeq: number;
  /** Events `call_ended`, and `call.ended` that went to who listens. */
  readonly ends: number;
  readonly told: number;
  /** The agent's words that the transcript holds. */
  readonly said: string;
  /** What the caller said, a turn each. */
  readonly taken: readonly string[];
  readonly isOwned: boolean;
}

/** Once all have ended and are nobody's, or have not in time. */
async function settled(
  database: Database,
  ids: readonly string[],
): Promise<ReadonlyMap<string, OnRecord>> {
  const until = systemClock.now() + SETTLE_MS;
  for (;;) {
    const records = await read(database, ids);
    const isOver = records.every(({ outcome, isOwned }) => outcome !== null && !isOwned);
    if (isOver || systemClock.now() >= until) {
      return new Map(records.map((record) => [record.id, record]));
    }
    await sleep(systemClock, LOOK_EVERY_MS);
  }
}

async function read(database: Database, ids: readonly string[]): Promise<readonly OnRecord[]> {
  const uuids = ids.map((id) => uuidOf("call", id));
  return await database.asOwner(QUERY_MS, async (sql) =>
    await sql<OnRecord[]>`
      select 'call_' || c.id as id, c.outcome, c.reason, count(e.*)::int as events,
        coalesce(max(e.seq), 0)::int as last_seq,
        (count(*) filter (where e.type = 'call_ended'))::int as ends,
        (select count(*)::int from outbox o
          where o.type = 'call.ended' and o.payload ->> 'id' = 'call_' || c.id) as told,
        coalesce(string_agg(e.payload ->> 'text', ' ' order by e.seq)
          filter (where e.type = 'agent_said'), '') as said,
        coalesce(jsonb_agg(e.payload ->> 'text' order by e.seq)
          filter (where e.type = 'caller_said'), '[]') as taken,
        exists (select 1 from actor_owner o join node n using (node_id, incarnation)
          where o.kind = 'call' and o.id = 'call_' || c.id and n.state <> 'dead') as is_owned
      from call c left join conversation_event e
        on e.tenant_id = c.tenant_id and e.conversation_id = c.id
      where c.id in (select jsonb_array_elements_text(${asJson(sql, uuids)})::uuid)
      group by c.tenant_id, c.id`);
}
