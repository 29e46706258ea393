/** Whose a call is: claimed with its row, and taken over from a machine that holds it no more. */

import type { Holdings } from "@/actors/cluster/holdings.ts";
import type { Sql } from "@/db/client.ts";
import { claimActor, getOwner, type Owned, takeCall } from "@/db/cluster.ts";
import { AppError } from "@/lib/errors.ts";
import { callKind, type Loss } from "./call.ts";

/** What a desk does in the transactions in which it writes and reads a call's row. */
export interface Ownership {
  /** Of a call that is new. Throws when this machine may take none. */
  claim(sql: Sql, callId: string): Promise<void>;
  /** Who has it. Read before its owner is asked: a taking that is late by then is too late. */
  seen(sql: Sql, callId: string): Promise<Owned | null>;
  /**
   * Of one that is still as it was seen: how that was. Null: it was here, and is no more. `notNow`: another machine
   * has it by now, or this one may take none; asked again, whoever may be asked will know more. `isDoubtful`: it was
   * never here, so that what is this machine's by its row was taken without an answer.
   */
  take(
    sql: Sql,
    callId: string,
    how: { readonly seen: Owned | null; readonly isDoubtful: boolean },
  ): Promise<Loss | "notNow" | null>;
  /** Of one that has no actor here, and is to end: whether this machine may write that it has. */
  own(sql: Sql, callId: string): Promise<boolean>;
}

export function ownership(holdings: Pick<Holdings, "boot" | "take">): Ownership {
  const take: Ownership["take"] = async (sql, callId, { seen, isDoubtful }) => {
    const { boot } = holdings;
    if (boot === null) return "notNow";
    if (seen?.owner?.incarnation === boot.incarnation) {
      if (!isDoubtful) return null; // it was here, and is no more
      return holdings.take(seen) ? "machineLost" : "notNow";
    }
    const owned = seen === null
      ? await claimActor(sql, { kind: callKind.name, id: callId }, boot)
      : await takeCall(sql, seen, boot);
    if (owned === null || !holdings.take(owned)) return "notNow";
    return seen !== null && seen.owner === null ? "handedOver" : "machineLost";
  };

  const seen: Ownership["seen"] = (sql, callId) =>
    getOwner(sql, { kind: callKind.name, id: callId });

  return {
    take,
    seen,
    /** Never from an owner that may live: it was told as well, or has just taken the call to go on with it. */
    async own(sql, callId) {
      const { boot } = holdings;
      if (boot === null || await seen(sql, callId) === null) return true; // nobody ever owned it
      const owned = await claimActor(sql, { kind: callKind.name, id: callId }, boot);
      return owned !== null && holdings.take(owned);
    },
    /** Not before this machine has joined: then nobody else can have the call either. */
    async claim(sql, callId) {
      const { boot } = holdings;
      if (boot === null) return;
      const owned = await claimActor(sql, { kind: callKind.name, id: callId }, boot);
      if (owned === null || !holdings.take(owned)) {
        throw new AppError("draining", "This machine may take no calls now", { retryable: true });
      }
    },
  };
}
