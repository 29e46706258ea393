/** The router: refs of actors wherever they are. What is here is asked here, at no cost; the rest goes over a link. */

import type { AskOptions, Kind, Message, Ref, Reply } from "@/actors/runtime/actor.ts";
import { ASK_TIMEOUT_MS, drainingError } from "@/actors/runtime/ask.ts";
import type { System } from "@/actors/runtime/system.ts";
import { Wheel } from "@/actors/runtime/wheel.ts";
import type { ActorKey, Boot } from "@/db/cluster.ts";
import type { Clock } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import { packed, type Reachable } from "@/actors/cluster/links/crossing.ts";
import { FarAsk } from "@/actors/cluster/links/far_ask.ts";
import { type Address, type Place, saidOf } from "@/actors/cluster/links/frames.ts";
import { checkLength, type Parcel, QUEUE_MAX, type Wire } from "@/actors/cluster/links/wire.ts";
import type { Owners } from "./owners.ts";
import type { Peers } from "./peers.ts";

/** A message is sent on so often when its actor is not where it was thought to be. */
export const HOPS_MAX = 2;

export interface Router {
  /**
   * A ref to where the actor is: here, at its cached owner, or at whom the directory names. Its messages must be
   * JSON but for `reply`; one that is not throws an Error. `tenantId`: whose it must be.
   */
  ref<M extends Message>(kind: Kind<M>, id: string, tenantId?: string): Ref<M>;
  /** The one that this machine has of a local kind. */
  at<M extends Message>(boot: Boot, kind: Kind<M>, id: string): Ref<M>;
  /** Another machine that lives and owns it; null: nobody does, or this one. */
  elsewhere(actor: ActorKey): Promise<Place | null>;
  /** Lets go of the clock: nothing is asked any more. */
  stop(): void;
}

/** What comes back over a link for messages that were sent through here. */
export interface Returns {
  /** Of an ask: it is not there. */
  moved(ask: FarAsk<unknown>, at: Boot, place: Place | null): void;
  /** Of a send: it is not there, and comes back. */
  back(parcel: Parcel, at: Boot, place: Place | null): void;
}

interface Waiting {
  /** `here`: it is on this machine. `place` null: nobody has it. */
  found(here: Ref<Message> | null, place: Place | null): void;
  failed(error: unknown): void;
}

export interface RouterDeps {
  readonly table: ReadonlyMap<string, Reachable>;
  readonly owners: Owners;
  readonly peers: Peers;
  readonly system: Pick<System, "deadLetter" | "phase">;
  readonly clock: Clock;
}

export function newRouter(deps: RouterDeps): Router & Returns {
  const { table, owners, peers, system, clock } = deps;
  const wheel = new Wheel(clock);
  /** Who waits for an owner to be found, by actor. */
  const seeking = new Map<string, Waiting[]>();

  /** The links are closing: what is put on one now would wait for its deadline. */
  function isOver(): boolean {
    return system.phase === "stopping" || system.phase === "stopped";
  }

  function undelivered({ address: { kind, id }, type }: Parcel): void {
    system.deadLetter({ kind, id, type, reason: "lost" });
  }

  function dispatch(parcel: Parcel, wire: Wire | null): boolean {
    if (wire?.send(parcel) === true) return true;
    undelivered(parcel);
    return false;
  }

  function put(ask: FarAsk<unknown>, wire: Wire | null): void {
    if (ask.isSettled) return;
    if (wire === null) return ask.unsent();
    if (ask.over(wire)) return;
    const { kind, id } = ask.parcel.address;
    ask.fail(
      new AppError("mailbox_full", `The way to the machine of ${kind} "${id}" is full`, {
        retryable: true,
      }),
    );
  }

  /** The message for an actor that turned out to be here. */
  function unpacked(parcel: Parcel, reply?: Reply<unknown>): Message {
    const message = JSON.parse(`[${parcel.said}]`)[3];
    return reply === undefined ? message : { ...message, reply };
  }

  function answerHere(ask: FarAsk<unknown>, here: Ref<Message>): void {
    const { parcel, deadline } = ask;
    here.ask<unknown>((reply) => unpacked(parcel, reply), { deadline })
      .then((answer) => ask.answer(answer), (error) => ask.fail(error));
  }

  /** Finds the owner first; `tried`: where it is not. What is sent meanwhile waits behind it, so that none overtakes. */
  function seek(address: Address, tried: Boot | null, next: Waiting): void {
    const key = keyOf(address);
    const queue = seeking.get(key);
    if (queue !== undefined) return void queue.push(next);
    seeking.set(key, [next]);
    const settle = (tell: (waiting: Waiting) => void): void => {
      const waiting = seeking.get(key) ?? [];
      seeking.delete(key);
      waiting.forEach(tell);
    };
    owners.find(address, tried).then(
      (place) => settle(({ found }) => found(hereOf(address), place)),
      (error) => settle(({ failed }) => failed(error)),
    );
  }

  function seekFor(ask: FarAsk<unknown>, tried: Boot | null): void {
    const { address } = ask.parcel;
    seek(address, tried, {
      found(here, place) {
        if (ask.isSettled) return;
        if (here !== null) answerHere(ask, here);
        else if (place === null) ask.fail(nobody(address));
        else put(ask, peers.wire(place.owner));
      },
      failed: (error) => ask.fail(error),
    });
  }

  function seekAndSend(parcel: Parcel, tried: Boot | null): void {
    seek(parcel.address, tried, {
      found(here, place) {
        if (here !== null) here.send(unpacked(parcel));
        else dispatch(parcel, place === null ? null : peers.wire(place.owner));
      },
      failed: () => undelivered(parcel),
    });
  }

  function hereOf({ kind, id, tenantId }: Address): Ref<Message> | null {
    return table.get(kind)?.here(id, tenantId) ?? null;
  }

  function parcelOf(address: Address, message: Message): Parcel {
    if (table.get(address.kind)?.messages[message.type] === undefined) {
      throw new Error(`Message "${message.type}" to ${address.kind} may not cross`);
    }
    const said = saidOf(address, packed(message));
    checkLength(said, message.type);
    return { address, type: message.type, said, hops: 0 };
  }

  /** `at`: the machine that is meant; null: whoever owns it. */
  function refTo<M extends Message>(address: Address, at: Boot | null): Ref<M> {
    const { kind, id } = address;
    const isSought = (): boolean => seeking.size > 0 && at === null && seeking.has(keyOf(address));
    const known = (): Wire | null => {
      if (isSought()) return null;
      const owner = at ?? owners.known(address)?.owner ?? null;
      return owner === null ? null : peers.wire(owner);
    };
    const here = (): Ref<M> | null => {
      if (isSought() || (at !== null && !owners.isSelf(at))) return null;
      return hereOf(address) as Ref<M> | null; // the table's entry was made of this kind
    };
    return {
      kind,
      id,
      send(message) {
        const found = here();
        if (found !== null) return found.send(message);
        const parcel = parcelOf(address, message);
        if (isOver()) return dispatch(parcel, null);
        const wire = known();
        if (wire !== null || at !== null) return dispatch(parcel, wire);
        if ((seeking.get(keyOf(address))?.length ?? 0) >= QUEUE_MAX) return dispatch(parcel, null);
        seekAndSend(parcel, null);
        return true;
      },
      ask<T>(question: (reply: Reply<T>) => M, options: AskOptions = {}): Promise<T> {
        const found = here();
        if (found !== null) return found.ask(question, options);
        if (isOver()) return Promise.reject(drainingError());
        return new Promise<T>((resolve, reject) => {
          const { signal } = options;
          if (signal?.aborted === true) return reject(signal.reason);
          const now = clock.now();
          const deadline = options.deadline ?? now + (options.timeoutMs ?? ASK_TIMEOUT_MS);
          const parcel = parcelOf(address, question(UNUSED));
          const made = new FarAsk<T>(parcel, deadline, { wheel, signal, resolve, reject });
          const ask = made as FarAsk<unknown>; // what comes back is parsed by the table
          if (deadline <= now) return ask.expire();
          const wire = known();
          if (wire !== null || at !== null) put(ask, wire);
          else seekFor(ask, null);
        });
      },
    };
  }

  return {
    ref: (kind, id, tenantId) => refTo({ kind: kind.name, id, tenantId: tenantId ?? null }, null),
    at: (boot, kind, id) => refTo({ kind: kind.name, id, tenantId: null }, boot),
    async elsewhere(actor) {
      const found = await owners.find({ ...actor, tenantId: null }, null);
      return found === null || owners.isSelf(found.owner) ? null : found;
    },
    stop: () => wheel.stop(),
    moved(ask, at, place) {
      ask.returned();
      const { address } = ask.parcel;
      owners.told(address, at, place);
      if (ask.isSettled) return;
      if (++ask.hops > HOPS_MAX) return ask.fail(nobody(address));
      const wire = place === null ? null : peers.wire(place.owner);
      if (wire === null) seekFor(ask, at);
      else put(ask, wire);
    },
    back(parcel, at, place) {
      owners.told(parcel.address, at, place);
      const next = { ...parcel, hops: parcel.hops + 1 };
      if (next.hops > HOPS_MAX) return undelivered(next);
      const wire = place === null ? null : peers.wire(place.owner);
      if (wire === null) seekAndSend(next, at);
      else dispatch(next, wire);
    },
  };
}

/** In the place of a reply in a message that is packed: it answers over the link. */
const UNUSED: Reply<unknown> = Object.assign(() => {}, { fail: () => {} });

function nobody({ kind, id }: Address): AppError {
  return new AppError("actor_stopped", `No machine has ${kind} "${id}"`, { retryable: true });
}

function keyOf({ kind, id }: Address): string {
  return `${kind}/${id}`;
}
