/** The children of a call: who listens, speaks and thinks in it. */

import type { Context } from "@/actors/runtime/actor.ts";
import type { CallMessage } from "@/actors/call/call.ts";
import { listener, listenerKind } from "@/actors/call/listener.ts";
import { model, modelKind } from "@/actors/call/model.ts";
import { relaySpeaker } from "@/actors/call/relay_speaker.ts";
import { speaker, speakerKind } from "@/actors/call/speaker.ts";
import { hearingAt, voiceAt } from "@/actors/call/tuning.ts";
import { BeepEar } from "@/lib/audio/beep.ts";
import { Vad } from "@/lib/audio/vad.ts";
import type { TranscribeOptions } from "@/lib/providers/stt/stt.ts";
import { startOf } from "@/lib/workflow/graph.ts";
import type { CallFacts } from "./facts.ts";
import type { CallState, Children } from "./state.ts";

/** Their ids fit into an operator's path as they are: `call_….listener`. */
export function spawnChildren(call: CallFacts, ctx: Context<CallMessage>): Children {
  const { self } = ctx;
  const { relay } = call;
  const start = startOf(call.graph).id;
  return {
    listener: ctx.spawn(listenerKind, `${ctx.self.id}.listener`, () =>
      listener({
        stt: call.deps.stt,
        options: hearing(call, start),
        call: self,
        pieces: call.deps.pieces,
        vad: new Vad(),
        tellsSounds: call.graph.turns.bargeIn.bySound,
        isEarly: call.settings.direction === "inbound" && call.relay === null,
        ...(call.scenario.answering === null ? {} : { beeps: new BeepEar() }),
      })),
    speaker: relay === null
      ? ctx.spawn(speakerKind, `${ctx.self.id}.speaker`, () =>
        speaker({
          tts: call.deps.tts,
          options: voiceAt(call.graph, start),
          ticker: call.deps.ticker,
          call: self,
          ...(call.deps.ambience === undefined ? {} : { ambience: call.deps.ambience }),
        }))
      : ctx.spawn(
        speakerKind,
        `${ctx.self.id}.speaker`,
        () => relaySpeaker({ call: self, language: relay.language }),
      ),
    model: ctx.spawn(
      modelKind,
      `${ctx.self.id}.model`,
      () => model({ model: call.deps.llm, call: self }),
    ),
    leg: null,
  };
}

/** Has the caller listened to as the node that the conversation is at wants it. */
export function tune(call: CallFacts, { children, dialogue }: CallState): void {
  children.listener.send({ type: "tune", options: hearing(call, dialogue.workflow.node) });
}

function hearing(call: CallFacts, nodeId: string): TranscribeOptions {
  return { ...hearingAt(call.graph, nodeId), ...(call.isWeb ? { source: "microphone" } : {}) };
}
