/** What may come from another machine: kinds, their messages, and the shape of each. Everything else is refused. */

import type { z } from "zod";
import type { Kind, Message, Ref } from "@/actors/runtime/actor.ts";

/** A message that may cross, without its `reply`. */
export interface Crossing {
  readonly message: z.ZodType;
  /** Whether it comes with a `reply`: an actor that is to answer must not get a message without. */
  readonly reply: "always" | "never" | "maybe";
  /** What the reply carries; absent: nothing. */
  readonly answer?: z.ZodType;
}

/**
 * `local`: every machine has its own, asked by the machine's name. `pinned`: where its row says, nowhere else.
 * `movable`: where its row says; where there is none, who is asked claims it.
 */
export type Placement = "local" | "pinned" | "movable";

/** One kind as other machines reach it. */
export interface Reachable {
  readonly kind: string;
  readonly placement: Placement;
  readonly messages: Readonly<Record<string, Crossing>>;
  /** The actor on this machine; null when it is not here, or is not this tenant's. */
  here(id: string, tenantId: string | null): Ref<Message> | null;
}

/** The messages of an actor that may cross, by their types; a name that it does not have does not compile. */
export type Crossings<M extends Message> = {
  readonly [T in M["type"]]?: Crossing & {
    readonly message: z.ZodType<WithoutReply<Extract<M, { type: T }>>>;
  };
};

type WithoutReply<M> = Omit<M, "reply">;

export function reachable<M extends Message>(
  kind: Kind<M>,
  { placement, messages, here }: {
    readonly placement: Placement;
    readonly messages: Crossings<M>;
    here(id: string, tenantId: string | null): Ref<M> | null;
  },
): Reachable {
  return {
    kind: kind.name,
    placement,
    messages: messages as Readonly<Record<string, Crossing>>, // by names, from here on
    // Only what has passed its schema is sent through it.
    here: here as unknown as Reachable["here"],
  };
}

/** The message as JSON, without its `reply`. Throws an Error for what no other machine could be given. */
export function packed({ reply: _, ...message }: Message & { readonly reply?: unknown }): string {
  const odd = oddity(message, DEPTH_MAX);
  if (odd !== null) throw new Error(`Message "${message.type}" cannot cross: it holds ${odd}`);
  return JSON.stringify(message);
}

/** Null: JSON says all there is of it. */
export function oddity(value: unknown, depth = DEPTH_MAX): string | null {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return null;
    case "number":
      return Number.isFinite(value) ? null : `the number ${value}`;
    case "object":
      break;
    default:
      return `a ${typeof value}`;
  }
  if (value === null) return null;
  if (depth === 0) return "what is nested too deep";
  if (Array.isArray(value)) return first(value, depth);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return `a ${prototype.constructor?.name ?? "thing"}`;
  }
  return first(Object.values(value), depth);
}

const DEPTH_MAX = 16;

function first(values: readonly unknown[], depth: number): string | null {
  for (const value of values) {
    const odd = oddity(value, depth - 1);
    if (odd !== null) return odd;
  }
  return null;
}
