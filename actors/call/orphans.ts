/** What can be done for a call whose machine is dead: have its carrier ask again, come back to its room, or end its record. */

import type { Fate, Orphan } from "@/actors/cluster/reaper.ts";
import type { Account, Equipment } from "@/actors/desk/equipment.ts";
import { getCall, getCallWay } from "@/db/calls.ts";
import type { Database } from "@/db/client.ts";
import { deleteLeft } from "@/db/cluster.ts";
import { leftCalls } from "@/db/lookups.ts";
import { AppError } from "@/lib/errors.ts";
import { type Clock, deadline } from "@/lib/clock.ts";
import { ROOM_CARRIER } from "@/lib/providers/carrier/room.ts";
import { WEB_CARRIER } from "@/lib/providers/carrier/web.ts";
import { orAborted } from "@/lib/until_aborted.ts";
import { callKind } from "./call.ts";
import type { Rooms } from "./rooms.ts";
import type { CallStore } from "./store.ts";

const QUERY_MS = 2_000;
/** A carrier's API answers within a second or two. */
const CARRIER_MS = 5_000;

export interface OrphansDeps {
  readonly database: Database;
  readonly equipment: Pick<Equipment, "outfit">;
  /** Where the carrier asks what to do with a call, as the account that it goes by does. */
  resumeUrl(call: Orphan & { readonly account: Account }): string;
  /** Whether this machine may write of it: claimed, where its owner is dead. */
  own(callId: string): Promise<boolean>;
  /** Whether it lives on this machine, whose boot was buried and which has it back in a moment. */
  isHere(orphan: Orphan): boolean;
  store(orphan: Orphan): Pick<CallStore, "breakOff">;
  /** Comes back to a room; false: nobody is there any more. */
  readonly rooms: Pick<Rooms, "goOn">;
  /** Its record is closed: its row may go. */
  ended(callId: string): void;
  readonly clock: Clock;
}

export interface Orphans {
  /** Those that go on. What is left of the others is swept away. */
  orphans(most: number): Promise<readonly Orphan[]>;
  recall(orphan: Orphan, signal: AbortSignal): Promise<Fate>;
  wrapUp(orphan: Orphan): Promise<Fate>;
}

export function newOrphans(deps: OrphansDeps): Orphans {
  const { database, equipment, clock } = deps;

  async function wrapUp(orphan: Orphan): Promise<Fate> {
    const { callId } = orphan;
    if (deps.isHere(orphan)) return "left";
    if (!await deps.own(callId)) return "left";
    await deps.store(orphan).breakOff({ outcome: "failed", reason: "machine_lost" }, clock.date());
    deps.ended(callId);
    return "ended";
  }

  return {
    orphans: (most) =>
      database.lookup("jobs", QUERY_MS, async (sql) => {
        const left = await leftCalls(sql, most);
        const ended = left.filter(({ tenantId }) => tenantId === null);
        if (ended.length > 0) {
          await deleteLeft(
            sql,
            callKind.name,
            ended.map(({ callId }) => callId),
          );
        }
        return left.flatMap(({ tenantId, ...call }) =>
          tenantId === null ? [] : [{ tenantId, ...call }]
        );
      }),
    wrapUp,
    async recall(orphan, signal) {
      const { tenantId, callId } = orphan;
      if (deps.isHere(orphan)) return "left";
      const [call, way] = await database.asTenant(
        "jobs",
        tenantId,
        QUERY_MS,
        async (sql) => [
          await getCall(sql, tenantId, callId),
          await getCallWay(sql, tenantId, callId),
        ],
      );
      if (call === null || call.status === "ended") return "left";
      const { carrierCallId } = call;
      if (call.carrier === WEB_CARRIER) return "asked"; // its page comes back by itself
      if (carrierCallId === null) return await wrapUp(orphan);
      if (call.carrier === ROOM_CARRIER) {
        const goesOn = await deps.rooms.goOn({ tenantId, callId, carrierCallId }, signal);
        return goesOn ? "asked" : await wrapUp(orphan);
      }
      const account = way?.account ?? "house";
      const outfit = await equipment.outfit(tenantId, account, null);
      const redirect = outfit instanceof AppError ? undefined : outfit.carrier.redirect;
      if (redirect === undefined) return await wrapUp(orphan);
      const limit = deadline(clock, CARRIER_MS, () => {
        return new AppError("provider_failed", "The carrier does not answer", { retryable: true });
      });
      try {
        const url = deps.resumeUrl({ ...orphan, account });
        const both = AbortSignal.any([signal, limit.signal]);
        const goesOn = await orAborted(redirect(carrierCallId, url, both), both);
        return goesOn ? "asked" : await wrapUp(orphan);
      } finally {
        limit.cancel();
      }
    },
  };
}
