/** Hooks: what an agent does by itself at a moment of a call, whatever its model thinks. */

import { z } from "zod";

/** When a hook is pulled. */
export type Moment =
  /** So long after the call was answered. */
  | { readonly type: "elapsed"; readonly afterMs: number }
  /** The caller has been silent for so long that this many idle prompts in a row are due: 1 is the first. */
  | { readonly type: "silent"; readonly prompts: number }
  | { readonly type: "pressed"; readonly digit: string }
  /** The conversation has come to this node. */
  | { readonly type: "moved"; readonly node: string }
  /** Something failed, and the call goes on. */
  | { readonly type: "failed" };

/** Of `transfer`, `sentence` is said first; null: nothing. */
export type HookAction =
  | { readonly type: "say"; readonly text: string; readonly interrupts: boolean }
  | { readonly type: "addContext"; readonly text: string }
  | { readonly type: "transfer"; readonly to: string; readonly sentence: string | null }
  | { readonly type: "hangUp" };

export interface Hook {
  /** Unique in its agent; the record of a call names it. */
  readonly name: string;
  readonly on: Moment;
  readonly do: HookAction;
  /** In one call; after that it does nothing. */
  readonly times: number;
}

export const HOOKS_MAX = 20;
const SENTENCE_MAX = 1_000; // characters: a minute of speech
const CONTEXT_MAX = 4_000; // as of the API's
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const CALL_MAX_MS = 4 * 3_600_000; // no call is longer

const sentence = z.string().trim().min(1).max(SENTENCE_MAX);
const name = z.string().regex(NAME);

const MomentJson = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("elapsed"), afterMs: z.int().min(1_000).max(CALL_MAX_MS) }),
  z.strictObject({ type: z.literal("silent"), prompts: z.int().min(1).max(10) }),
  z.strictObject({ type: z.literal("pressed"), digit: z.string().regex(/^[0-9A-D*#]$/) }),
  z.strictObject({ type: z.literal("moved"), node: name }),
  z.strictObject({ type: z.literal("failed") }),
]) satisfies z.ZodType<Moment>;

const ActionJson = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("say"),
    text: sentence,
    interrupts: z.boolean().default(false),
  }),
  z.strictObject({
    type: z.literal("addContext"),
    text: z.string().trim().min(1).max(CONTEXT_MAX),
  }),
  z.strictObject({
    type: z.literal("transfer"),
    to: z.string().regex(/^\+[1-9]\d{6,14}$/), // E.164
    sentence: sentence.nullable().default(null),
  }),
  z.strictObject({ type: z.literal("hangUp") }),
]) satisfies z.ZodType<HookAction>;

export const HooksJson = z.array(z.strictObject({
  name,
  on: MomentJson,
  do: ActionJson,
  times: z.int().min(1).max(10).default(1),
})).max(HOOKS_MAX) satisfies z.ZodType<readonly Hook[]>;

/** How often each has been pulled in this call, by name. */
export type Pulls = Readonly<Record<string, number>>;

/** Those that `moment` pulls: of what is counted or named it has to be the very number or name. */
export function hooksOf(hooks: readonly Hook[], moment: Moment, pulls: Pulls): readonly Hook[] {
  return hooks.filter((hook) => (pulls[hook.name] ?? 0) < hook.times && isSame(hook.on, moment));
}

function isSame(a: Moment, b: Moment): boolean {
  switch (a.type) {
    case "elapsed":
      return b.type === "elapsed" && a.afterMs === b.afterMs;
    case "silent":
      return b.type === "silent" && a.prompts === b.prompts;
    case "pressed":
      return b.type === "pressed" && a.digit === b.digit;
    case "moved":
      return b.type === "moved" && a.node === b.node;
    case "failed":
      return b.type === "failed";
  }
}

/** Who gave a command that a hook has given, as a call's record names them. */
const BY = "hook:";
export const byHook = ({ name }: Hook): string => `${BY}${name}`;

/** The pulls that a call's record tells of. */
export function withPull(pulls: Pulls, by: string): Pulls {
  if (!by.startsWith(BY)) return pulls;
  const hook = by.slice(BY.length);
  return { ...pulls, [hook]: (pulls[hook] ?? 0) + 1 };
}
