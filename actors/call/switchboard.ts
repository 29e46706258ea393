/** The switchboard: the lines of this machine, and the live calls on them. */

import type { Ref } from "@/actors/runtime/actor.ts";
import type { System } from "@/actors/runtime/system.ts";
import { type Clock, sleep } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { MessageSocket } from "@/lib/socket.ts";
import type { Account, Outfit } from "@/actors/desk/equipment.ts";
import { call, type CallDeps, callKind, type CallMessage, type CallSettings } from "./call.ts";
import type { LeavingWhen } from "@/actors/call/life/leaving.ts";
import type { Place, Queue, Waiting } from "@/actors/admission/queue.ts";
import type { Grant, Tokens, Work } from "@/actors/admission/tokens.ts";
import type { Attachment } from "./link.ts";
import type { CallStore } from "./store.ts";

/** A line: given back once, when its call has ended or never began. */
export type Line = Grant;

export interface Switchboard {
  /**
   * Takes a line, synchronously, so that no two calls get the last one. Null: all are taken, or left to those who
   * wait, or we drain. `carrierCallId`: of a caller, who may be one of those.
   */
  takeLine(work: Work, tenantId: string, carrierCallId?: string): Line | null;
  /** A caller who cannot be taken waits, or goes on waiting. Null: they may not. */
  wait(caller: Waiting): Place | null;
  /** A caller who waited is gone. */
  leaveQueue(carrierCallId: string): void;
  /** Starts a call on a line, which is released when it has ended. Null: we have begun to drain. */
  start(settings: CallSettings, line: Line, outfit: Outfit): Ref<CallMessage> | null;
  /** The live calls of a tenant. */
  callsOf(tenantId: string): readonly string[];
  /** A live call of this tenant, by the carrier's id of one that it announced. */
  announced(tenantId: string, carrierCallId: string): Ref<CallMessage> | null;
  /** Is that one of the live calls here, whoever's it is? */
  isAnnounced(carrierCallId: string): boolean;
  /** A live call of this tenant. */
  find(tenantId: string, callId: string): Ref<CallMessage> | null;
  /** Whose a live call is, and by whose account of the carrier it goes. */
  whose(callId: string): { readonly tenantId: string; readonly account: Account } | null;
  /** May a socket with this path be opened? The path is spent by the answer `ok`. */
  attach(path: {
    readonly callId: string;
    readonly epoch: number;
    readonly token: string;
  }): Promise<Attachment | "missing">;
  /** The socket of a path that was attached. */
  connected(callId: string, socket: MessageSocket): void;
  /** Spends a ticket to listen to a call, and names who was given it. Throws forbidden, or not_found. */
  admit(callId: string, ticket: string): Promise<{ readonly by: string }>;
  /** The socket of a ticket that was spent. */
  tapped(callId: string, by: string, socket: MessageSocket): void;
  hangUpAll(): void;
  /** Has all calls leave this machine, or stay. */
  leaveAll(when: LeavingWhen): void;
  /** Resolves when no call lives, or `withinMs` have passed. */
  emptied(withinMs: number): Promise<void>;
  /** Resolves when the records of calls that broke off are written, each within its own deadline. */
  settled(): Promise<void>;
}

export interface SwitchboardOptions {
  readonly system: System;
  readonly tokens: Tokens;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: (settings: CallSettings) => CallStore;
  /** Told when a call's actor runs, and when it is gone, whatever ended it: `isElsewhere`, another machine's claim. */
  readonly started: (call: { readonly tenantId: string; readonly callId: string }) => void;
  readonly ended: (
    call: { readonly tenantId: string; readonly callId: string },
    isElsewhere: boolean,
  ) => void;
  /** What a call needs beside its store. */
  readonly deps: (
    settings: CallSettings,
    outfit: Outfit,
  ) => Omit<CallDeps, "record" | "history" | "savePlaced" | "saveLive" | "saveEnd">;
}

const POLL_MS = 50;
/** Why a call is stopped that another machine has taken: it writes nothing more, and nobody is told of an end. */
export const ELSEWHERE = "another machine owns it";

export function newSwitchboard(options: SwitchboardOptions): Switchboard {
  const { system, queue, clock, log } = options;
  /** Whose the live calls are: nobody finds one but its tenant. */
  const live = new Map<string, { readonly tenantId: string; readonly account: Account }>();
  /** Live calls that the carrier announced, by its ids. */
  const announced = new Map<string, string>();
  const breaking = new Set<Promise<void>>();

  /** Ends the record of a call whose actor did not come to it. */
  async function breakOff(callId: string, store: CallStore, why: "crashed" | "stopped") {
    try {
      await store.breakOff({ outcome: "failed", reason: why }, clock.date());
    } catch (error) {
      log.error("end of a call not stored", { callId, error });
    }
  }

  /** Callers who wait come before what we place and before pages, and in their order before other callers. */
  function leavingTo(work: Work, tenantId: string, carrierCallId: string | undefined): number {
    if (work === "goingOn") return 0;
    return work === "inbound" ? queue.before(tenantId, carrierCallId ?? null) : queue.lacking;
  }

  function find(tenantId: string, callId: string): Ref<CallMessage> | null {
    return live.get(callId)?.tenantId === tenantId ? system.find(callKind, callId) : null;
  }

  return {
    takeLine(work, tenantId, carrierCallId) {
      if (system.phase !== "running") return null;
      const line = options.tokens.take(work, tenantId, {
        leaving: leavingTo(work, tenantId, carrierCallId),
        isAgain: carrierCallId !== undefined && queue.has(carrierCallId),
      });
      if (line !== null && carrierCallId !== undefined) queue.leave(carrierCallId);
      return line;
    },
    wait: (caller) => system.phase === "running" ? queue.wait(caller) : null,
    leaveQueue: queue.leave,
    start(settings, line, outfit) {
      if (system.phase !== "running") return null;
      const { callId, tenantId, carrierCallId, direction } = settings;
      const rung = direction === "inbound" ? carrierCallId : null;
      const store = options.store(settings);
      const deps: CallDeps = { ...store, ...options.deps(settings, outfit) };
      live.set(callId, { tenantId, account: outfit.account });
      if (rung !== null) announced.set(rung, callId);
      options.started({ tenantId, callId });
      return system.spawn(callKind, callId, () => call(settings, deps), {
        stopped(reason) {
          line.release();
          live.delete(callId);
          if (rung !== null) announced.delete(rung);
          const isElsewhere = reason.type === "asked" && reason.why === ELSEWHERE;
          options.ended({ tenantId, callId }, isElsewhere);
          if (reason.type === "done") return;
          if (isElsewhere) { // its end is not ours to write
            return log.warn("call goes on on another machine", { callId });
          }
          log.error("call broke off", { callId, reason });
          const why = reason.type === "crashed" ? "crashed" : "stopped";
          const broken = breakOff(callId, store, why).finally(() => breaking.delete(broken));
          breaking.add(broken);
        },
      });
    },
    callsOf: (tenantId) =>
      [...live].filter(([, of]) => of.tenantId === tenantId).map(([callId]) => callId),
    announced(tenantId, carrierCallId) {
      const callId = announced.get(carrierCallId);
      return callId === undefined ? null : find(tenantId, callId);
    },
    isAnnounced: (carrierCallId) => announced.has(carrierCallId),
    find,
    whose: (callId) => live.get(callId) ?? null,
    async attach({ callId, epoch, token }) {
      const found = system.find(callKind, callId);
      if (found === null) return "missing";
      return await found.ask<Attachment>((reply) => ({ type: "attach", epoch, token, reply }));
    },
    connected(callId, socket) {
      const found = system.find(callKind, callId);
      if (found === null) socket.close(1008, "Call has ended");
      else found.send({ type: "connected", socket });
    },
    async admit(callId, ticket) {
      const found = system.find(callKind, callId);
      if (found === null) throw new AppError("not_found", "The call has ended");
      return await found.ask<{ readonly by: string }>((reply) => ({
        type: "admit",
        ticket,
        reply,
      }));
    },
    tapped(callId, by, socket) {
      const found = system.find(callKind, callId);
      if (found === null) socket.close(1000, "Call has ended");
      else found.send({ type: "tapped", by, socket });
    },
    hangUpAll() {
      for (const callId of live.keys()) system.find(callKind, callId)?.send({ type: "hangUp" });
    },
    leaveAll(when) {
      for (const callId of live.keys()) {
        system.find(callKind, callId)?.send({ type: "leave", when });
      }
    },
    async emptied(withinMs) {
      const until = clock.now() + withinMs;
      while (system.count(callKind.name) > 0 && clock.now() < until) await sleep(clock, POLL_MS);
    },
    settled: async () => void await Promise.all(breaking),
  };
}
