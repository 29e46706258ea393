/** What a call goes by from its first message to its last. */

import type { CallDeps, CallSettings } from "@/actors/call/call.ts";
import type { Scenario } from "@/actors/call/dialogue.ts";
import { asOneModel } from "@/actors/call/realtime.ts";
import { asRelayed, relaySetup } from "@/actors/call/relayed.ts";
import { hiddenVariables } from "@/actors/call/withheld.ts";
import type { RelaySetup } from "@/lib/providers/carrier/relay.ts";
import { type Consent, consentFor } from "@/lib/recording/consent.ts";
import { senseIn } from "@/lib/speech/sense.ts";
import { type AnsweringSettings, type Graph, languageOf } from "@/lib/workflow/graph.ts";

const FILLERS_MAX = 2; // of one reply

/** What of a call no message changes. */
export interface CallFacts {
  readonly settings: CallSettings;
  readonly deps: CallDeps;
  /** The agent's, as this call can follow it. */
  readonly graph: Graph;
  readonly scenario: Scenario;
  /** How the carrier hears and speaks for the agent; null: it does not. */
  readonly relay: RelaySetup | null;
  readonly isWeb: boolean;
  /** Whether a carrier asks what is next when the media socket has closed. */
  readonly isAsked: boolean;
  /** Variables that no record keeps. */
  readonly hidden: ReadonlySet<string>;
}

/** All that follows from a call's settings before it begins. */
export function factsOf(settings: CallSettings, deps: CallDeps): CallFacts {
  const isRelayed = settings.graph.relay !== null && (settings.channel ?? "phone") === "phone";
  const graph = isRelayed
    ? asRelayed(settings.graph)
    : deps.heard === undefined
    ? settings.graph
    : asOneModel(settings.graph);
  const consent = graph.recording === null ? null : consentFor(graph.recording.consent, {
    numbers: settings.numbers,
    state: graph.recording.state,
  });
  const answering = settings.direction === "outbound" ? graph.answering : null;
  return {
    settings,
    deps,
    graph,
    scenario: scenarioOf(graph, consent, answering),
    relay: isRelayed ? relaySetup(graph) : null,
    isWeb: settings.channel === "web",
    isAsked: (settings.channel ?? "phone") === "phone",
    hidden: hiddenVariables(graph),
  };
}

/** What a call of this agent goes by. */
export function scenarioOf(
  graph: Graph,
  consent: Consent | null = null,
  answering: AnsweringSettings | null = null,
): Scenario {
  const { bargeIn, fillerMs } = graph.turns;
  const { isAllowed, words, speechMs, bySound, ignoresBackchannels, stopPhrases } = bargeIn;
  return {
    graph,
    rules: {
      idleMs: graph.limits.idleMs,
      bargeIn: { isAllowed, words, speechMs, bySound },
      fillerMs,
      fillersMax: FILLERS_MAX,
    },
    answering,
    consent,
    senseOf: senseIn({ language: languageOf(graph), ignoresBackchannels, stopPhrases }),
  };
}
