/** The state of a call. */

import type { CallAnswer } from "@/actors/desk/desk.ts";
import type { Ref } from "@/actors/runtime/actor.ts";
import type { CallMessage, EndedCall } from "@/actors/call/call.ts";
import type { Dialogue } from "@/actors/call/dialogue.ts";
import type { Ending } from "@/actors/call/ending.ts";
import type { LegMessage } from "@/actors/call/leg.ts";
import type { Link } from "@/actors/call/link.ts";
import type { ListenerMessage } from "@/actors/call/listener.ts";
import type { ModelMessage } from "@/actors/call/model.ts";
import type { SpeakerMessage } from "@/actors/call/speaker.ts";
import type { Taping } from "@/actors/call/taping.ts";
import type { Secrets } from "@/actors/call/withheld.ts";
import type { CarrierAnswerer } from "@/lib/providers/carrier/detection.ts";
import type { CallUsage } from "@/lib/conversation/usage.ts";
import type { Pulls } from "@/lib/workflow/hooks.ts";
import { render } from "@/lib/workflow/template.ts";
import type { LeavingWhen } from "./leaving.ts";
import type { ListeningIn } from "./listening_in.ts";

/** The message of a call that has this type. */
export type MessageOf<T extends CallMessage["type"]> = Extract<CallMessage, { type: T }>;

/** What a carrier that asks is told last. */
export type LastWord = Extract<CallAnswer, { type: "refused" | "transfer" }>;

/** The actors of a call. Its leg comes and goes. */
export interface Children {
  readonly listener: Ref<ListenerMessage>;
  readonly speaker: Ref<SpeakerMessage>;
  readonly model: Ref<ModelMessage>;
  readonly leg: Ref<LegMessage> | null;
}

/** What changes in a call. */
export interface CallState {
  readonly phase: "rebuilding" | "connecting" | "live" | "ending" | "saving";
  /** Of the agent's hooks. */
  readonly pulls: Pulls;
  /** Whether it is to leave this machine. */
  readonly leaving: LeavingWhen | "ifQuiet";
  /** Since when, by its clock, nothing keeps it here that is to leave; null: something does. */
  readonly restFrom: number | null;
  /** By its clock: it could not leave, and is not cut off again before. */
  readonly staysUntil: number;
  readonly listening: ListeningIn;
  /** Null until the carrier has taken a call of ours. */
  readonly carrierCallId: string | null;
  /** Who the carrier says has answered, where that came before there was a stream. */
  readonly judged: CarrierAnswerer | null;
  readonly link: Link;
  /** Streams that one side has closed since it would not take what the other said. */
  readonly refusals: number;
  readonly children: Children;
  readonly dialogue: Dialogue;
  readonly seq: number;
  readonly taping: Taping | null;
  /** Numbers that the caller gave at a sensitive node: they must not turn up in the record. */
  readonly secrets: Secrets;
  readonly answeredAt: Date | null;
  readonly ending: Ending | null;
  /** What the carrier is told when it asks what is next, in its own voice or to whom it is to dial; null: it just hangs up. */
  readonly lastWord: LastWord | null;
  /** Whom the caller is handed to once the agent has said its last words. */
  readonly transferTo: string | null;
  /** Of its providers, on machines before this one. */
  readonly usedBefore: CallUsage;
  /** What is being stored, once it has ended, and how often that has failed. */
  readonly saving: { readonly ended: EndedCall; readonly failures: number } | null;
}

/** A sentence of the graph, with what is known put in. */
export function rendered(template: string, { dialogue }: Pick<CallState, "dialogue">): string {
  return render(template, dialogue.workflow.variables);
}
