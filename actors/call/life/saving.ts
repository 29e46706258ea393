/** The end of a call: recorded, stored, and tried again until it is. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage, EndedCall } from "@/actors/call/call.ts";
import { CALLER_HUNG_UP, type Ending } from "@/actors/call/ending.ts";
import { keptVariables } from "@/actors/call/withheld.ts";
import { addUsage, type CallUsage, NO_USAGE } from "@/lib/conversation/usage.ts";
import type { CallFacts } from "./facts.ts";
import { record } from "./record.ts";
import type { CallState, MessageOf } from "./state.ts";
import { converse, fail } from "./talking.ts";

/** Writes of a call's end that may fail, with doubling waits between them. */
const SAVES_MAX = 8;
const SAVE_AGAIN_MS = 500;

/** Nothing more will be said: record how it came out, and store it. */
export function save(call: CallFacts, state: CallState, ctx: Context<CallMessage>): CallState {
  if (state.phase === "saving") return state;
  const ending = state.ending ?? CALLER_HUNG_UP;
  const settled = converse(call, state, { type: "legLost" }, ctx);
  const unrecorded = settled.taping === null
    ? settled
    : record(call, { ...settled, taping: null }, { type: "recording_stopped" }, ctx);
  return store(call, record(call, unrecorded, { type: "call_ended", ...ending }, ctx), ending, ctx);
}

/** Lets go of line and providers, and stores the end; then the call stops. */
export function store(
  call: CallFacts,
  state: CallState,
  ending: Ending,
  ctx: Context<CallMessage>,
): CallState {
  const { children, dialogue, answeredAt } = state;
  for (const child of Object.values(children)) {
    if (child !== null) ctx.stopChild(child, "Call has ended");
  }
  for (const work of ["turn", "duration", "connect", "ending", "hang up"]) ctx.cancel(work);
  const { secrets } = state;
  const variables = keptVariables(dialogue.workflow.variables, { hidden: call.hidden, secrets });
  const usage = usageOf(call, state);
  const ended: EndedCall = { ...ending, variables, usage, answeredAt, endedAt: ctx.date() };
  write(call, ended, ctx);
  const saving = { ended, failures: 0 };
  return { ...state, phase: "saving", ending, saving, children: { ...children, leg: null } };
}

/** Of its providers so far, on all machines that are known of. */
export function usageOf({ deps }: CallFacts, { usedBefore, dialogue }: CallState): CallUsage {
  const here = deps.used?.() ?? NO_USAGE;
  return addUsage(usedBefore, addUsage(here, { ...NO_USAGE, wasted: dialogue.wasted }));
}

function write(call: CallFacts, ended: EndedCall, ctx: Context<CallMessage>): void {
  ctx.run(
    "save",
    (signal) => call.deps.saveEnd(ended, signal),
    (outcome) => ({ type: "saved", outcome }),
  );
}

/** The end is stored, or is tried again. */
export function saved(
  call: CallFacts,
  state: CallState,
  { outcome }: MessageOf<"saved">,
  ctx: Context<CallMessage>,
): CallState | void {
  if (outcome.ok || state.saving === null) return ctx.stop();
  const failures = state.saving.failures + 1;
  if (failures === SAVES_MAX) {
    const { callId } = call.settings;
    call.deps.log.error("end of a call not stored", { callId, error: outcome.error });
    return ctx.stop();
  }
  ctx.timer("save again", SAVE_AGAIN_MS * 2 ** (failures - 1), { type: "saveAgain" });
  return { ...state, saving: { ...state.saving, failures } };
}

/** The end is stored anew. */
export function saveAgain(
  call: CallFacts,
  { saving }: CallState,
  _message: MessageOf<"saveAgain">,
  ctx: Context<CallMessage>,
): void {
  if (saving !== null) write(call, saving.ended, ctx);
}

/** The carrier has hung up, or could not: the leg goes, and the end is stored. */
export function carrierHungUp(
  call: CallFacts,
  state: CallState,
  { outcome }: MessageOf<"carrierHungUp">,
  ctx: Context<CallMessage>,
): CallState | void {
  const next = outcome.ok ? state : fail(call, state, "carrier", outcome.error, ctx);
  if (next.children.leg === null) return save(call, next, ctx);
  next.children.leg.send({ type: "hangUp" });
  return next;
}
