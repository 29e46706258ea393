/** The disk of machines that are lost as it is in the house: recorder, store and ownership on a real database. */

import assert from "node:assert/strict";
import { ownership } from "@/actors/call/ownership.ts";
import { type CallStore, callStore } from "@/actors/call/store.ts";
import { newHoldings } from "@/actors/cluster/holdings.ts";
import { recorder, recorderKind } from "@/actors/recorder/recorder.ts";
import type { CallEvent } from "@/actors/call/events.ts";
import type { Database } from "@/db/client.ts";
import { insertNode } from "@/db/cluster.ts";
import { listEvents, type NewEvent } from "@/db/events.ts";
import { AppError } from "@/lib/errors.ts";
import { silentLog } from "@/lib/log.ts";
import { actorKit } from "./actor_kit.ts";
import type { Disk } from "./lost_machines.ts";
import type { ManualClock } from "./manual_clock.ts";
import { DEADLINE_MS, insertedCall, newStaffedTenant } from "./rows.ts";
import { virtualDatabase } from "./virtual_database.ts";

const NODE = { address: "10.0.0.1:8000", region: "iad", version: "1", weight: 300 };
const EVENTS_MAX = 1_000;
const AWAY = new AppError("database_unavailable", "No answer in time", { retryable: true });

/** What becomes of a machine's nth write of events. */
export type WriteFate = "stored" | "lost" | "replyLost";

export interface CallDisk extends Disk {
  readonly callId: string;
  readonly tenantId: string;
  /** Events that a machine was told to be stored. */
  readonly acked: readonly NewEvent[];
  /** Writes that were refused, since another machine owned the call. */
  readonly refused: { count: number };
  /** Ends what is left of the machines. */
  close(): Promise<void>;
}

export async function callDisk(
  real: Database,
  clock: ManualClock,
  fateOf: (write: number) => WriteFate,
): Promise<CallDisk> {
  const staffed = await newStaffedTenant(real);
  const { tenantId } = staffed;
  const { id: callId } = await insertedCall(real, staffed);
  const { database, advance } = virtualDatabase(real, clock);
  const acked: NewEvent[] = [];
  const refused = { count: 0 };
  const kits: ReturnType<typeof actorKit>[] = [];
  let writes = 0;

  const inTenant = <T>(work: Parameters<typeof real.asTenant<T>>[3]): Promise<T> =>
    real.asTenant("rest", tenantId, DEADLINE_MS, work);

  return {
    callId,
    tenantId,
    acked,
    refused,
    advance: (ms) => advance(ms),
    async read() {
      const page = { after: 0, limit: EVENTS_MAX };
      const rows = await inTenant((sql) => listEvents(sql, tenantId, callId, page));
      assert.deepEqual(rows.map(({ seq }) => seq), rows.map((_, at) => at + 1), "without a gap");
      return {
        events: rows.map(({ type, payload }) => ({ type, ...Object(payload) }) as CallEvent),
        times: rows.map(({ at }) => at),
      };
    },
    async machine(nth) {
      const kit = actorKit({ clock });
      kits.push(kit);
      const holdings = newHoldings();
      const nodeId = `node-${nth}-${callId}`;
      const join = real.lookup("rest", DEADLINE_MS, (sql) => insertNode(sql, { nodeId, ...NODE }));
      holdings.joined({ nodeId, incarnation: await join });
      const owners = ownership(holdings);
      if (nth === 0) await inTenant((sql) => owners.claim(sql, callId));
      else {
        const taken = await inTenant(async (sql) =>
          await owners.take(sql, callId, {
            seen: await owners.seen(sql, callId),
            isDoubtful: false,
          })
        );
        assert.equal(taken, "machineLost");
      }
      let isGone = false;
      let isFenced = false;
      const ours: Database = {
        ...database,
        async asTenant(pool, tenants, deadlineMs, work) {
          const fate = isGone ? "lost" : fateOf(writes++);
          if (fate === "lost") throw AWAY;
          const done = await database.asTenant(pool, tenants, deadlineMs, work);
          if (fate === "replyLost" || isGone) throw AWAY;
          return done;
        },
      };
      const fenceOf = (id: string) => holdings.fenceOf({ kind: "call", id });
      const fences = {
        fenceOf,
        isPending: holdings.isPending,
        fenced() {
          isFenced = true;
          refused.count++;
        },
      };
      const ref = kit.system.spawn(recorderKind, "recorder", () =>
        recorder({
          database: ours,
          fences,
          committed: (events) => {
            if (!isFenced) acked.push(...events);
          },
          log: silentLog,
        }));
      const store: CallStore = callStore({ tenantId, callId }, {
        database: ours,
        recorder: ref,
        fenceOf,
      });
      return {
        deps: store,
        lose({ goesOn = false }) {
          isGone = !goesOn;
          return Promise.resolve();
        },
      };
    },
    async close() {
      for (const { system } of kits) {
        const ended = system.shutdown();
        await clock.settle();
        await ended;
      }
    },
  };
}
