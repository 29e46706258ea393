/** What another machine asks and tells of the actors of this one; and its answers to what this one has asked. */

import { z } from "zod";
import type { Message, Ref } from "@/actors/runtime/actor.ts";
import { AppError } from "@/lib/errors.ts";
import type { Log } from "@/lib/log.ts";
import type { Owners } from "@/actors/cluster/owners.ts";
import type { Returns } from "@/actors/cluster/router.ts";
import { type Crossing, oddity, packed, type Reachable } from "./crossing.ts";
import { FarAsk } from "./far_ask.ts";
import {
  type Address,
  backEntry,
  type Entry,
  ENTRY_UNITS_MAX,
  failEntry,
  movedEntry,
  type Place,
  replyEntry,
  saidOf,
} from "./frames.ts";
import { ASKS_MAX, type Wire } from "./wire.ts";

export interface ServeDeps {
  readonly table: ReadonlyMap<string, Reachable>;
  readonly owners: Owners;
  readonly returns: Returns;
  readonly log: Log;
}

type AskEntry = Extract<Entry, { type: "ask" }>;

/** One link's part: the asks of the other machine that are being answered. */
export interface Service {
  take(entry: Exclude<Entry, { type: "beat" | "beaten" }>): void;
  /** The link is gone: nobody waits for these answers. */
  end(): void;
}

export function newService({ table, owners, returns, log }: ServeDeps, wire: Wire): Service {
  /** Who waits: an answer that comes for nobody is let go. (An abort signal for each would cost as much as the rest.) */
  const served = new Set<number>();

  /** Throws AppError("invalid") for what may not come from outside. */
  function checked({ kind, id }: Address, message: Message, isAsk: boolean): Message {
    const crossing = table.get(kind)?.messages[message.type];
    const what = `"${message.type}" to ${kind} "${id}"`;
    if (crossing === undefined) throw new AppError("invalid", `No machine may send ${what}`);
    const { reply } = crossing;
    if (reply !== "maybe" && (reply === "always") !== isAsk) {
      throw new AppError("invalid", `${what} came ${isAsk ? "as an ask" : "without a reply"}`);
    }
    const parsed = crossing.message.safeParse(message);
    if (parsed.success) return parsed.data as Message; // the schema is of this type
    throw new AppError("invalid", `${what} is not of its shape: ${parsed.error.issues[0]?.path}`);
  }

  function hereOf({ kind, id, tenantId }: Address): Ref<Message> | null {
    return table.get(kind)?.here(id, tenantId) ?? null;
  }

  /** Where it is, of what is not here. A movable one may be here after it. */
  async function placeOf(address: Address): Promise<Place | null> {
    const placement = table.get(address.kind)?.placement;
    if (placement === "local") return null;
    return placement === "movable" ? await owners.claim(address) : await owners.find(address, null);
  }

  function told(ask: number, entry: string): void {
    if (served.delete(ask)) wire.tell(entry);
  }

  function failed({ ask, address, message }: AskEntry, error: unknown): void {
    if (error instanceof AppError) return told(ask, failEntry(ask, error));
    if (!served.has(ask)) return; // nobody waits for it any more
    log.error("ask of another machine failed", { type: message.type, ...address, error });
    told(ask, failEntry(ask, new AppError("internal", `"${message.type}" crashed`)));
  }

  function put(entry: AskEntry, here: Ref<Message>, question: Message): void {
    const { ask, remainingMs: timeoutMs } = entry;
    here.ask<unknown>((reply) => ({ ...question, reply }), { timeoutMs }).then(
      (answer) => {
        const odd = oddity(answer);
        if (odd !== null) {
          return failed(entry, new Error(`The answer cannot cross: it holds ${odd}`));
        }
        const reply = replyEntry(ask, answer);
        if (reply.length <= ENTRY_UNITS_MAX) return told(ask, reply);
        failed(entry, new AppError("too_large", "The answer is too long to cross"));
      },
      (error) => failed(entry, error),
    );
  }

  /** Of what is not here, or is about to be. */
  async function seek(entry: AskEntry, question: Message): Promise<void> {
    const { ask, address } = entry;
    try {
      const place = await placeOf(address);
      const here = hereOf(address);
      if (here === null) told(ask, movedEntry(ask, place));
      else put(entry, here, question);
    } catch (error) {
      failed(entry, error);
    }
  }

  function serve(entry: AskEntry): void {
    const { ask, address, message } = entry;
    if (served.size >= ASKS_MAX) {
      const full = new AppError("mailbox_full", "Too many asks wait here", { retryable: true });
      return wire.tell(failEntry(ask, full));
    }
    served.add(ask);
    try {
      const question = checked(address, message, true);
      const here = hereOf(address);
      if (here !== null) put(entry, here, question);
      else void seek(entry, question);
    } catch (error) {
      failed(entry, error);
    }
  }

  async function deliver({ hops, address, message }: Extract<Entry, { type: "send" }>) {
    try {
      const told = checked(address, message, false);
      let here = hereOf(address);
      if (here === null) {
        const place = await placeOf(address);
        here = hereOf(address);
        if (here === null) {
          return wire.tell(backEntry(hops, place, saidOf(address, packed(message))));
        }
      }
      here.send(told);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      log.warn("message of another machine not taken", {
        type: message.type,
        ...address,
        code: error.code,
        error,
      });
    }
  }

  function answered(entry: Extract<Entry, { type: "reply" }>): void {
    const asker = wire.answered(entry.ask);
    if (!(asker instanceof FarAsk)) return; // it has given up
    const { parcel: { address, type } } = asker;
    const parsed = answerOf(table.get(address.kind)?.messages[type]).safeParse(entry.answer);
    if (parsed.success) return asker.answer(parsed.data);
    asker.returned();
    log.error("answer of another machine is not of its shape", { type, ...address });
    asker.fail(new AppError("internal", `The answer to "${type}" is not of its shape`));
  }

  return {
    take(entry) {
      switch (entry.type) {
        case "ask":
          return serve(entry);
        case "send":
          return void deliver(entry);
        case "reply":
          return answered(entry);
        case "fail": {
          const asker = wire.answered(entry.ask);
          if (!(asker instanceof FarAsk)) return;
          asker.returned();
          return asker.fail(entry.error);
        }
        case "cancel":
          return void served.delete(entry.ask);
        case "moved": {
          const asker = wire.answered(entry.ask);
          if (asker instanceof FarAsk) returns.moved(asker, wire.peer, entry.place);
          return;
        }
        case "back": {
          const { address, message, hops, place } = entry;
          const said = saidOf(address, packed(message));
          return returns.back({ address, type: message.type, said, hops }, wire.peer, place);
        }
      }
    },
    end: () => served.clear(),
  };
}

/** Nothing, where the table names no answer. */
const NOTHING = z.unknown().transform(() => undefined);

function answerOf(crossing: Crossing | undefined): z.ZodType {
  return crossing?.answer ?? NOTHING;
}
