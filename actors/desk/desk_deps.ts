/** What a desk is given: everything here is bound to its tenant. */

import type { Place, Waiting } from "@/actors/admission/queue.ts";
import type { Refused } from "@/actors/admission/refusals.ts";
import type { Work as LineWork } from "@/actors/admission/tokens.ts";
import type { CallMessage, CallSettings, Channel, Loss } from "@/actors/call/call.ts";
import type { Report } from "@/actors/call/standing.ts";
import type { Line } from "@/actors/call/switchboard.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { Owned } from "@/db/cluster.ts";
import type { ClipRef } from "@/lib/clip_library.ts";
import type { AppError } from "@/lib/errors.ts";
import type { TenantPlan } from "@/lib/limits/plan.ts";
import type { Log } from "@/lib/log.ts";
import type { Graph } from "@/lib/workflow/graph.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import type { Account, Outfit } from "./equipment.ts";
import type { Errand } from "./errand.ts";
import type { Office, Visit } from "./office.ts";
import type { AgentWishes } from "./speech_of.ts";

/** The agent that leads a call: its published version. */
export interface Agent {
  readonly agentId: string;
  readonly version: number;
  readonly graph: Graph;
  /** Those that it plays; their words stand in the graph. Absent: none. */
  readonly clips?: readonly ClipRef[];
}

export interface NewCall {
  readonly callId: string;
  readonly agent: Agent;
  readonly direction: "inbound" | "outbound";
  readonly from: string;
  readonly to: string;
  readonly carrierCallId: string | null;
  /** Null: nobody of the tenant did. */
  readonly placedBy: string | null;
  readonly account: Account;
  /** Absent: by phone. */
  readonly channel?: Channel;
}

/** The row of a call that rings; one that is not new may have ended. */
export interface InsertedCall {
  readonly callId: string;
  readonly isNew: boolean;
  readonly isEnded: boolean;
}

export interface StandingCall {
  readonly status: "ringing" | "live" | "ended";
  /** Null until it has ended. */
  readonly outcome: string | null;
  /** Null: the carrier has not taken it yet, or its answer was not written down. */
  readonly carrierCallId: string | null;
}

/** A call that this machine has taken, to go on with. */
export interface TakenCall
  extends Pick<CallSettings, "graph" | "direction" | "carrierCallId" | "numbers"> {
  readonly clips: readonly ClipRef[];
  readonly channel: Channel;
  /** Null: nobody has written it down. */
  readonly account: Account | null;
  readonly after: Loss;
}

/** A caller who is to be called back: from our number, to theirs. */
export interface Back {
  readonly carrierCallId: string;
  readonly agentId: string;
  readonly from: string;
  readonly to: string;
}

/** Everything here is bound to the desk's tenant. */
export interface DeskDeps {
  readonly tenantId: string;
  readonly errands: Readonly<Record<string, Errand<never, unknown>>>;
  office(visit: Visit): Office;
  readonly log: Log;
  readonly newCallId: () => string;
  /** The published version; null when there is no such agent here, or none is published. */
  agent(
    wanted: {
      readonly agentId: string;
      /** Our end of a call by phone, whose settings hold as well; null: it is none. */
      readonly number: string | null;
      readonly leg?: NumberLeg | undefined;
    },
    signal: AbortSignal,
  ): Promise<Agent | null>;
  /**
   * Takes a slot of the tenant for a new call, under what its plan allows at this version or a newer one. Fails
   * with busy, quota_exceeded or tenant_suspended. The slot is given back when the call has ended.
   */
  admit(
    call: { readonly callId: string; readonly configVersion: number | null },
    signal: AbortSignal,
  ): Promise<TenantPlan>;
  /** Gives back the slot of a call that never began. */
  release(callId: string): void;
  /**
   * Writes the call's row and counts it; a null plan does not count it. A carrier's call that is known already keeps the id it has: that one comes
   * back. Fails with quota_exceeded.
   */
  insertCall(call: NewCall, plan: TenantPlan | null, signal: AbortSignal): Promise<InsertedCall>;
  /** Ends the row of a call that was not taken: it failed, for this reason. */
  endCall(callId: string, reason: string, signal: AbortSignal): Promise<void>;
  /** How a call of the tenant stands; null when there is none. */
  call(callId: string, signal: AbortSignal): Promise<StandingCall | null>;
  /** The call that the carrier knows by this id. */
  callOfCarrier(carrierCallId: string, signal: AbortSignal): Promise<string | null>;
  /**
   * What the carrier says of a call that is not live here. One that has not ended may end by it, and is this
   * machine's to end if it is still as it was `seen`; null: if nobody else can have it.
   */
  reported(
    callId: string,
    carrierCallId: string,
    report: Report,
    seen: Owned | null,
    signal: AbortSignal,
  ): Promise<void>;
  /** As `Equipment.outfit`. */
  outfit(
    account: Account | null,
    version: number | null,
    wishes: AgentWishes | null,
  ): Promise<Outfit | AppError>;
  /** Takes one of the machine's lines, synchronously; null when none is to be had for such work. */
  takeLine(work: LineWork, carrierCallId?: string): Line | null;
  /** A caller who cannot be taken waits, or goes on waiting. Null: they may not. */
  wait(caller: Omit<Waiting, "tenantId">): Place | null;
  /** A caller who may have waited is gone. */
  leaveQueue(carrierCallId: string): void;
  /** Has a caller called back once a line is free; the same carrier's call once. */
  wantCallback(caller: Back, signal: AbortSignal): Promise<void>;
  /** Counts a call that was refused for want of a line or a slot. */
  refused(who: Refused): void;
  /** Milliseconds of the wall clock. */
  wallMs(): number;
  /** Null when this machine has begun to drain. The line is released when the call has ended. */
  startCall(settings: CallSettings, line: Line, outfit: Outfit): Ref<CallMessage> | null;
  /** A live call of this tenant, on this machine. */
  findCall(callId: string): Ref<CallMessage> | null;
  /** As `findCall`, by the carrier's id of a call that it announced. */
  findAnnounced(carrierCallId: string): Ref<CallMessage> | null;
  /** Whether no other machine can hold a call. */
  isAlone(): boolean;
  /** A call of this tenant that another machine holds; null: none that lives does. */
  findElsewhere(callId: string): Promise<Ref<CallMessage> | null>;
  /** Who has a call, living or not; null: nobody ever had it, or it has ended. */
  ownerOf(callId: string, signal: AbortSignal): Promise<Owned | null>;
  /**
   * From now on it is this machine's, if it is still as it was seen. Null: it may not be had. Throws AppError("fenced"),
   * retryable, where another machine may have it by now. `isDoubtful`: an earlier taking had no answer, and may have
   * been done.
   */
  takeCall(
    callId: string,
    how: { readonly seen: Owned | null; readonly isDoubtful: boolean },
    signal: AbortSignal,
  ): Promise<TakenCall | null>;
}

/** What is to be done beside the mailbox; then what follows, in it. */
export type Work = (signal: AbortSignal) => Promise<() => void>;
