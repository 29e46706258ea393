/** An agent as a graph: what it says, what it finds out at each node, and the edges its model may take. */

import { z } from "zod";
import { AMBIENT_SOUNDS, type AmbientSound } from "@/lib/audio/ambience.ts";
import { AppError } from "@/lib/errors.ts";
import { type Consent, CONSENTS, US_STATES, type UsState } from "@/lib/recording/consent.ts";
import { RECORDING_FORMATS, type RecordingFormat } from "@/lib/recording/segments.ts";
import {
  LLM_PROVIDERS,
  type ProviderWishes,
  REALTIME_PROVIDERS,
  type RealtimeWish,
  STT_PROVIDERS,
  TTS_PROVIDERS,
} from "@/lib/provider_choice.ts";
import { CLIP_NAME } from "./clip_name.ts";
import { type Hook, HooksJson } from "./hooks.ts";

/**
 * A whole agent. Texts that are spoken, and the persona and instructions, may hold `{{variable}}`
 * (see template.ts).
 */
export interface Graph {
  readonly name: string;
  /** BCP 47, as `en` or `en-GB`; null takes the tenant's, and English where it has none. */
  readonly language: string | null;
  /** The speech provider's voice id; null takes the tenant's, and the one of the deployment where it has none. */
  readonly voice: string | null;
  /** As a part of the voice's own pace, 0.7 to 1.2; null: its own. */
  readonly speed: number | null;
  /** Whom its calls are held with; null: whoever the tenant's are. One that is named must be configured. */
  readonly providers: ProviderWishes | null;
  /** The language model's name at its provider; null: the tenant's, and the one of the deployment. */
  readonly model: string | null;
  /** One model that hears, answers and speaks: `providers` then stand in for it. Null: there is none. */
  readonly speech: RealtimeWish | null;
  /** Who the agent is: stands before the instructions of every node. */
  readonly persona: string;
  /** Words the recogniser should listen for. */
  readonly keyterms: readonly string[];
  /** Said verbatim when the caller has been silent for `limits.idleMs`. */
  readonly idlePrompt: string;
  /** Said verbatim before hanging up on a caller who has not answered the idle prompts. */
  readonly idleFarewell: string;
  /** Said verbatim before hanging up, when the call has lasted for `limits.maxDurationMs`. */
  readonly timeUpSentence: string;
  /** Said verbatim before hanging up, when the conversation cannot go on. */
  readonly failureSentence: string;
  readonly limits: GraphLimits;
  readonly turns: TurnSettings;
  /** Said, one after the other, while a reply takes long; null: the house's of that language, where it has some. */
  readonly fillers: readonly string[] | null;
  /** What is heard around the agent while it speaks and while it listens; null: nothing. */
  readonly ambient: AmbientSettings | null;
  /** Null: its calls are not recorded. */
  readonly recording: RecordingSettings | null;
  /** What it does where a machine answers a call of its own; null: it takes everyone for a person. */
  readonly answering: AnsweringSettings | null;
  /** What it does by itself at moments of a call; the first stands first. */
  readonly hooks: readonly Hook[];
  /** Null: its phone calls come as a media stream; else the carrier hears and speaks for it, by text. */
  readonly relay: RelaySettings | null;
  readonly nodes: readonly Node[];
  readonly edges: readonly Edge[];
}

export interface GraphLimits {
  /** The agent ends a call that lasts so long. */
  readonly maxDurationMs: number;
  /** Silence of both sides before the idle prompt. */
  readonly idleMs: number;
  /** Idle prompts in a row before the agent hangs up. */
  readonly idlePromptCount: number;
}

/** The sound of a room: one of the house's, or a clip that goes round. */
export interface AmbientSettings {
  readonly sound: AmbientSound | null;
  /** The name of a clip, where `sound` is null. */
  readonly clip: string | null;
  /** 0.05 to 1: of a sound of the house, 1 is loud; of a clip, as it was recorded. */
  readonly volume: number;
}

/** Of calls that the agent places: what it does about machines that answer. */
export interface AnsweringSettings {
  /** `leave_message`: says `message` behind the beep, or a silence, and hangs up. */
  readonly onVoicemail: "hang_up" | "leave_message" | "talk";
  readonly message: string | null;
  /** Why it calls, in a sentence, for an assistant that asks before it rings; null: the model answers it. */
  readonly purpose: string | null;
  /** `navigate`: the model answers the menu, with keys where its node may press them, and greets nobody. */
  readonly onIvr: "navigate" | "hang_up" | "talk";
  /** Who judges who has answered: `own`, by the first words and the beep; `carrier`, by its detection; `both`. */
  readonly detector: "own" | "carrier" | "both";
  /** The carrier may take so long. */
  readonly carrierTimeoutMs: number;
}

/** How calls are recorded, and what callers are told of it. */
export interface RecordingSettings {
  /** What stands before the first recorded byte; where the law of one end wants more, that. */
  readonly consent: Consent;
  /** Said verbatim before the greeting. */
  readonly disclosure: string;
  /** Said behind it where the caller is asked. */
  readonly question: string;
  /** Where the company is, for the law of its end; null: where its number says. */
  readonly state: UsState | null;
  /** Of a download. */
  readonly format: RecordingFormat;
}

/** Whom the carrier hears and speaks with; null: as it likes. The agent's `voice` is then one of `ttsProvider`. */
export interface RelaySettings {
  readonly ttsProvider: "Google" | "Amazon" | "ElevenLabs" | null;
  readonly transcriptionProvider: "Google" | "Deepgram" | null;
  /** Of the transcription, as `flux` or `nova-3-general`. */
  readonly speechModel: string | null;
}

/** How the agent takes turns with the caller. */
export interface TurnSettings {
  /**
   * What ends a turn of the caller. `fixed`: silence of `silenceMs`. `dynamic`: between `silenceMs` and
   * `silenceMaxMs`, learnt from the pauses of this caller. `provider`: the recogniser's own judgement.
   */
  readonly endpointing: "fixed" | "dynamic" | "provider";
  readonly silenceMs: number;
  readonly silenceMaxMs: number;
  /** Makes a reply as soon as a turn is probably over, and drops it unheard when the caller goes on. */
  readonly isEager: boolean;
  /** Tokens that dropped replies of one call may cost; past it no more are made in advance. */
  readonly eagerTokensMax: number;
  readonly bargeIn: BargeInSettings;
  /** A reply that takes so long is bridged by a filler; null: by none. */
  readonly fillerMs: number | null;
  /** The silence that callers should not hear more than this of, before nineteen answers of twenty; null: no goal. */
  readonly gapGoalMs: number | null;
  /** The greeting waits so long once the call is answered. */
  readonly firstMessageDelayMs: number;
  readonly recogniser: RecogniserSettings;
}

/** For `endpointing: "provider"`: how sure the recogniser is to be. Null: the provider's own. */
export interface RecogniserSettings {
  /** That a turn is probably over, for `isEager`. */
  readonly eagerThreshold: number;
  /** That it is over. */
  readonly endThreshold: number | null;
  /** Silence that ends it however unsure the recogniser is. */
  readonly endTimeoutMs: number | null;
}

/** What makes the caller's voice an interruption of the agent. */
export interface BargeInSettings {
  readonly isAllowed: boolean;
  /** Words that it takes. */
  readonly words: number;
  /** How long they must have been speaking. */
  readonly speechMs: number;
  /** True: the sound of speech for `speechMs` is enough, before any word is recognised. */
  readonly bySound: boolean;
  /** Words of listening, as "mm-hm", interrupt nothing. */
  readonly ignoresBackchannels: boolean;
  /** Phrases that interrupt at once, beside the house's of that language. */
  readonly stopPhrases: readonly string[];
}

/**
 * `start` is a node like `agent` that opens the call: its greeting is said at once and verbatim, and
 * an empty one lets the caller speak first. No edge leads back to it. `end` says farewell and hangs up.
 */
export type Node = StartNode | AgentNode | EndNode;

export interface StartNode extends Talk {
  readonly type: "start";
  readonly greeting: string;
}

export interface AgentNode extends Talk {
  readonly type: "agent";
}

/** How a node speaks and is spoken to where it is not as the rest of the agent. Null: as the agent. */
export interface NodeVoice {
  readonly language: string | null;
  readonly voice: string | null;
  readonly speed: number | null;
}

/** A part of the conversation that the model leads. */
export interface Talk extends NodeVoice {
  readonly id: string;
  /** For the model: what to do here. */
  readonly instructions: string;
  /** What to find out here. */
  readonly variables: readonly Variable[];
  /** False: what is said here is said to its end, and the caller is not heard meanwhile. */
  readonly isInterruptible: boolean;
  /** True: what is said and keyed here, as a card number, is kept nowhere: neither in a recording nor in the record. */
  readonly isSensitive: boolean;
  /** How numbers are keyed here. */
  readonly keypad: KeypadSettings;
  /** True: the model may press keys here, as a machine's menu asks for them. */
  readonly mayPressKeys: boolean;
  /** What the recogniser should listen for here, beside the agent's. */
  readonly keyterms: readonly string[];
}

/** A number that is keyed is complete at `maxDigits`, at the `terminator` (null: no key ends it), or once no key has come for `timeoutMs`. */
export interface KeypadSettings {
  /** With fewer the model is told that they are too few. */
  readonly minDigits: number;
  readonly maxDigits: number;
  readonly terminator: "#" | "*" | null;
  readonly timeoutMs: number;
  /** Which of the node's variables, a string, takes the number; null: the model reads it, and gives it to one. */
  readonly variable: string | null;
  /** True: the model reads only how many digits they are. */
  readonly isMasked: boolean;
}

export interface EndNode extends NodeVoice {
  readonly type: "end";
  readonly id: string;
  readonly farewell: string;
  /** How the conversation came out, as `booked`. */
  readonly outcome: string;
}

/** A name that stands in several nodes is one variable, and has one type. */
export type Variable =
  | VariableBase & { readonly type: "string" | "number" | "boolean" }
  | VariableBase & { readonly type: "enum"; readonly options: readonly string[] };

interface VariableBase {
  readonly name: string;
  /** For the model: what it means. */
  readonly description: string;
  /** A question that asks for it; null leaves the words to the model. */
  readonly ask: string | null;
  readonly required: boolean;
}

/**
 * A way on, offered to the model as a function whose parameters are the variables of `from`.
 * `needsVariables: false` makes all of them optional: for a caller who gives up half-way.
 */
export interface Edge {
  readonly from: string;
  readonly to: string;
  /** Unique among the edges that leave `from`. */
  readonly function: string;
  /** For the model: when to take it. */
  readonly condition: string;
  readonly needsVariables: boolean;
}

const NODES_MAX = 100;
const EDGES_MAX = 400;
const VARIABLES_MAX = 30; // a node
const OPTIONS_MAX = 50;
const KEYTERMS_MAX = 100;
const PHRASES_MAX = 50;
const SENTENCE_MAX = 1_000; // characters: a minute of speech
const PROMPT_MAX = 20_000; // characters
const HOUR_MS = 3_600_000;

const ID_MAX = 64;
const id = z.string().max(ID_MAX).regex(/^[a-zA-Z0-9_-]+$/);
const sentence = z.string().trim().min(1).max(SENTENCE_MAX);
const prompt = z.string().max(PROMPT_MAX);

const variable = {
  // Begins with a letter, so that `__proto__` is no name. JSON Schema itself sets no limit.
  name: z.string().regex(/^[a-zA-Z][a-zA-Z0-9_]{0,63}$/),
  description: z.string().trim().min(1).max(500),
  ask: sentence.nullable().default(null),
  required: z.boolean().default(true),
};

const VariableJson = z.discriminatedUnion("type", [
  z.strictObject({ ...variable, type: z.enum(["string", "number", "boolean"]) }),
  z.strictObject({
    ...variable,
    type: z.literal("enum"),
    options: z.array(z.string().trim().min(1).max(100)).min(1).max(OPTIONS_MAX),
  }),
]) satisfies z.ZodType<Variable>;

const language = z.string().regex(/^[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8}){0,7}$/);
const voice = z.string().trim().min(1).max(100);
const speed = z.number().min(0.7).max(1.2); // what all providers take: ElevenLabs' range
const keyterms = z.array(z.string().trim().min(1).max(100)).max(KEYTERMS_MAX).default([]);

const nodeVoice = {
  language: language.nullable().default(null),
  voice: voice.nullable().default(null),
  speed: speed.nullable().default(null),
};

const KeypadJson = z.strictObject({
  minDigits: z.int().min(1).max(32).default(1),
  maxDigits: z.int().min(1).max(32).default(32), // card and account numbers are shorter
  terminator: z.enum(["#", "*"]).nullable().default("#"),
  timeoutMs: z.int().min(500).max(30_000).default(2_500),
  variable: z.string().max(ID_MAX).nullable().default(null),
  isMasked: z.boolean().default(false),
}).refine(({ variable, isMasked }) => variable !== null || !isMasked, {
  path: ["isMasked"],
  message: "Must name the variable that takes what the model does not read",
}).refine(({ minDigits, maxDigits }) => minDigits <= maxDigits, {
  path: ["maxDigits"],
  message: "Must not be less than minDigits",
}) satisfies z.ZodType<KeypadSettings>;

const talk = {
  ...nodeVoice,
  id,
  instructions: prompt,
  variables: z.array(VariableJson).max(VARIABLES_MAX).default([]),
  isInterruptible: z.boolean().default(true),
  isSensitive: z.boolean().default(false),
  keypad: KeypadJson.prefault({}),
  mayPressKeys: z.boolean().default(false),
  keyterms,
};

const NodeJson = z.discriminatedUnion("type", [
  z.strictObject({
    ...talk,
    type: z.literal("start"),
    greeting: z.string().trim().max(SENTENCE_MAX),
  }),
  z.strictObject({ ...talk, type: z.literal("agent") }),
  z.strictObject({ type: z.literal("end"), id, farewell: sentence, outcome: id, ...nodeVoice }),
]) satisfies z.ZodType<Node>;

const EdgeJson = z.strictObject({
  from: id,
  to: id,
  // What OpenAI accepts as a function's name, and the strictest of the providers we know.
  function: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
  condition: z.string().trim().min(1).max(1_000),
  needsVariables: z.boolean().default(true),
}) satisfies z.ZodType<Edge>;

const LimitsJson = z.strictObject({
  maxDurationMs: z.int().min(10_000).max(4 * HOUR_MS).default(HOUR_MS / 6),
  idleMs: z.int().min(1_000).max(60_000).default(10_000),
  idlePromptCount: z.int().min(0).max(10).default(2),
}) satisfies z.ZodType<GraphLimits>;

const BargeInJson = z.strictObject({
  isAllowed: z.boolean().default(true),
  words: z.int().min(1).max(10).default(1),
  speechMs: z.int().min(0).max(5_000).default(0),
  bySound: z.boolean().default(false),
  ignoresBackchannels: z.boolean().default(true),
  stopPhrases: z.array(z.string().trim().min(1).max(100)).max(PHRASES_MAX).default([]),
}) satisfies z.ZodType<BargeInSettings>;

const RecogniserJson = z.strictObject({
  // The ranges that Deepgram takes (developers.deepgram.com/docs/flux/configuration).
  eagerThreshold: z.number().min(0.3).max(0.9).default(0.5),
  endThreshold: z.number().min(0.5).max(1).nullable().default(null),
  endTimeoutMs: z.int().min(500).max(60_000).nullable().default(null),
}).refine(({ eagerThreshold, endThreshold }) => eagerThreshold <= (endThreshold ?? 0.7), {
  path: ["eagerThreshold"],
  message: "Must not be more than endThreshold, which is 0.7 where it is null",
}) satisfies z.ZodType<RecogniserSettings>;

const TurnsJson = z.strictObject({
  endpointing: z.enum(["fixed", "dynamic", "provider"]).default("fixed"),
  silenceMs: z.int().min(100).max(5_000).default(400),
  silenceMaxMs: z.int().min(100).max(10_000).default(1_500),
  isEager: z.boolean().default(false),
  eagerTokensMax: z.int().min(0).max(1_000_000).default(20_000),
  bargeIn: BargeInJson.prefault({}),
  fillerMs: z.int().min(500).max(5_000).nullable().default(2_000),
  gapGoalMs: z.int().min(100).max(10_000).nullable().default(null),
  firstMessageDelayMs: z.int().min(0).max(10_000).default(0),
  recogniser: RecogniserJson.prefault({}),
}).refine(({ silenceMs, silenceMaxMs }) => silenceMs <= silenceMaxMs, {
  path: ["silenceMaxMs"],
  message: "Must not be less than silenceMs",
}) satisfies z.ZodType<TurnSettings>;

const RecordingJson = z.strictObject({
  consent: z.enum(CONSENTS).default("disclose"),
  disclosure: sentence.default("This call is recorded."),
  question: sentence.default("Is that all right with you?"),
  state: z.enum(US_STATES).nullable().default(null),
  format: z.enum(RECORDING_FORMATS).default("pcm"),
}) satisfies z.ZodType<RecordingSettings>;

const AmbientJson = z.strictObject({
  sound: z.enum(AMBIENT_SOUNDS).nullable().default(null),
  clip: z.string().regex(CLIP_NAME).nullable().default(null),
  volume: z.number().min(0.05).max(1).default(0.3),
}).refine(({ sound, clip }) => (sound === null) !== (clip === null), {
  path: ["sound"],
  message: "Must be given, or else a clip",
}) satisfies z.ZodType<AmbientSettings>;

const RelayJson = z.strictObject({
  ttsProvider: z.enum(["Google", "Amazon", "ElevenLabs"]).nullable().default(null),
  transcriptionProvider: z.enum(["Google", "Deepgram"]).nullable().default(null),
  speechModel: z.string().trim().min(1).max(100).nullable().default(null),
}) satisfies z.ZodType<RelaySettings>;

const SpeechJson = z.strictObject({
  provider: z.enum(REALTIME_PROVIDERS),
  model: z.string().trim().min(1).max(100).nullable().default(null),
  voice: voice.nullable().default(null),
}) satisfies z.ZodType<RealtimeWish>;

const AnsweringJson = z.strictObject({
  onVoicemail: z.enum(["hang_up", "leave_message", "talk"]).default("hang_up"),
  message: sentence.nullable().default(null),
  purpose: sentence.nullable().default(null),
  onIvr: z.enum(["navigate", "hang_up", "talk"]).default("talk"),
  detector: z.enum(["own", "carrier", "both"]).default("own"),
  carrierTimeoutMs: z.int().min(3_000).max(59_000).default(30_000), // Twilio's range and default
}).refine(({ onVoicemail, message }) => onVoicemail !== "leave_message" || message !== null, {
  path: ["message"],
  message: "Must be given where a message is to be left",
}) satisfies z.ZodType<AnsweringSettings>;

/** An agent as it is written; `parseGraph` checks what a schema cannot say. */
export const GraphJson = z.strictObject({
  name: z.string().trim().min(1).max(100),
  language: language.nullable().default(null),
  voice: voice.nullable().default(null),
  speed: speed.nullable().default(null),
  providers: z.strictObject({
    stt: z.enum(STT_PROVIDERS).nullable().default(null),
    llm: z.enum(LLM_PROVIDERS).nullable().default(null),
    tts: z.enum(TTS_PROVIDERS).nullable().default(null),
  }).nullable().default(null),
  model: z.string().trim().min(1).max(100).nullable().default(null),
  speech: SpeechJson.nullable().default(null),
  persona: prompt,
  keyterms,
  idlePrompt: sentence.default("Are you still there?"),
  idleFarewell: sentence.default("I cannot hear you, so I will hang up now. Goodbye."),
  timeUpSentence: sentence.default("I am sorry, we are out of time. Please call again. Goodbye."),
  failureSentence: sentence.default("I am sorry, something went wrong. Please call again later."),
  limits: LimitsJson.prefault({}),
  turns: TurnsJson.prefault({}),
  fillers: z.array(sentence).max(PHRASES_MAX).nullable().default(null),
  ambient: AmbientJson.nullable().default(null),
  recording: RecordingJson.nullable().default(null),
  answering: AnsweringJson.nullable().default(null),
  hooks: HooksJson.default([]),
  relay: RelayJson.nullable().default(null),
  nodes: z.array(NodeJson).min(1).max(NODES_MAX),
  edges: z.array(EdgeJson).max(EDGES_MAX),
}) satisfies z.ZodType<Graph>;

/** What a tenant's agents speak with where they do not say; null: it does not say either. */
export type VoiceDefaults = Pick<Graph, "language" | "voice">;

/** An agent as a call of its tenant holds it. */
export function withDefaults(graph: Graph, { language, voice }: VoiceDefaults): Graph {
  // The tenant's voice is one of its own provider's.
  const isOther = graph.relay !== null ||
    (graph.providers !== null && graph.providers.tts !== null);
  return {
    ...graph,
    language: graph.language ?? language,
    voice: graph.voice ?? (isOther ? null : voice),
  };
}

/** Of agents that name none, where no setting of the tenant does. */
export const HOUSE_LANGUAGE = "en";

/** What is spoken in a call of this agent, BCP 47. */
export function languageOf({ language }: Graph): string {
  return language ?? HOUSE_LANGUAGE;
}

/** One place of an agent that is wrong. */
export interface Fault {
  /** Where, as `nodes[1].variables[0].name`; empty: the whole. */
  readonly path: string;
  /** The id of the node it is in, where it is in one that has an id. */
  readonly nodeId: string | null;
  readonly message: string;
}

/** An agent with all that is wrong with it is told so much of it. */
export const FAULTS_MAX = 100;

/**
 * Checks an agent and fills in its defaults. A graph that passes has one start, every node can be
 * reached from it, and from every node an end can be reached.
 * Throws AppError("invalid"); `field` is the first place that is wrong, as `nodes[1].variables[0].name`.
 */
export function parseGraph(json: unknown): Graph {
  const checked = checkGraph(json);
  if (checked.graph !== null) return checked.graph;
  const { path, message } = checked.faults[0];
  throw new AppError("invalid", `Agent is not valid at "${path}": ${message}`, { field: path });
}

/** The graph, or everything that is wrong with it. How its parts hang together is looked at once each is right. */
export function checkGraph(json: unknown):
  | { readonly graph: Graph; readonly faults: readonly [] }
  | { readonly graph: null; readonly faults: readonly [Fault, ...Fault[]] } {
  const parsed = GraphJson.safeParse(json);
  const found = parsed.success ? [...faults(parsed.data)] : parsed.error.issues.flatMap(placesOf);
  const [first, ...rest] = found.map(([path, message]): Fault => ({
    path: pathText(path),
    nodeId: nodeIdAt(json, path),
    message,
  }));
  if (first !== undefined) {
    return { graph: null, faults: [first, ...rest.slice(0, FAULTS_MAX - 1)] };
  }
  if (!parsed.success) throw new Error("A refused agent has no fault");
  return { graph: parsed.data, faults: [] };
}

/** A key that is unknown is itself the place that is wrong. */
function placesOf(issue: z.core.$ZodIssue): (readonly [Path, string])[] {
  if (issue.code !== "unrecognized_keys") return [[issue.path, issue.message]];
  return issue.keys.map((key) => [[...issue.path, key], "There is no such field"]);
}

function nodeIdAt(json: unknown, [list, at]: Path): string | null {
  if (list !== "nodes" || typeof at !== "number") return null;
  const nodes: unknown = Object(json).nodes;
  const id: unknown = Array.isArray(nodes) ? Object(nodes[at]).id : null;
  return typeof id === "string" ? id.slice(0, ID_MAX) : null;
}

/** The node of that id. It is a bug to ask for one that the graph does not have. */
export function nodeOf(graph: Graph, id: string): Node {
  const node = graph.nodes.find((node) => node.id === id);
  if (node === undefined) throw new Error(`No node "${id}" in agent "${graph.name}"`);
  return node;
}

/** The start of a graph that `parseGraph` has passed. */
export function startOf(graph: Graph): StartNode {
  const start = graph.nodes.find((node) => node.type === "start");
  if (start === undefined) throw new Error(`No start in agent "${graph.name}"`);
  return start;
}

type Path = readonly PropertyKey[];

/** What a schema cannot say: names that must be unique, ends that must exist, ways that must lead on. */
function* faults(graph: Graph): Generator<readonly [Path, string]> {
  yield* nodeFaults(graph.nodes);
  yield* edgeFaults(graph);
  yield* hookFaults(graph);
  const starts = graph.nodes.filter((node) => node.type === "start");
  if (graph.relay !== null && graph.recording !== null) {
    yield [["recording"], "A relay hands us no audio that could be recorded"];
  }
  if (graph.relay !== null && graph.speech !== null) {
    yield [["speech"], "A relay hands us no audio that a model could hear"];
  }
  if (graph.relay !== null && graph.ambient !== null) {
    yield [["ambient"], "A relay takes no audio that could be heard"];
  }
  if (starts.length === 0) yield [["nodes"], "There must be a start"];
  const forward = Map.groupBy(graph.edges, (edge) => edge.from);
  const reached = reach(starts, (node) => forward.get(node)?.map((edge) => edge.to));
  const backward = Map.groupBy(graph.edges, (edge) => edge.to);
  const ends = graph.nodes.filter((node) => node.type === "end");
  const ending = reach(ends, (node) => backward.get(node)?.map((edge) => edge.from));
  for (const [at, node] of graph.nodes.entries()) {
    if (!reached.has(node.id)) yield [["nodes", at], "The start does not lead to this node"];
    if (!ending.has(node.id)) yield [["nodes", at], "No end can be reached from this node"];
  }
}

function* nodeFaults(nodes: readonly Node[]): Generator<readonly [Path, string]> {
  const ids = new Set<string>();
  const shapes = new Map<string, string>(); // of a variable, by its name
  let starts = 0;
  for (const [at, node] of nodes.entries()) {
    if (ids.has(node.id)) yield [["nodes", at, "id"], "This id is taken"];
    ids.add(node.id);
    if (node.type === "start" && ++starts > 1) yield [["nodes", at], "There is another start"];
    if (node.type === "end") continue;
    const names = new Set<string>();
    for (const [i, variable] of node.variables.entries()) {
      const path = ["nodes", at, "variables", i];
      if (names.has(variable.name)) yield [[...path, "name"], "This name is taken"];
      names.add(variable.name);
      const shape = JSON.stringify([variable.type, "options" in variable ? variable.options : []]);
      if ((shapes.get(variable.name) ?? shape) !== shape) {
        yield [[...path, "type"], "Another node gives this variable another type"];
      }
      shapes.set(variable.name, shape);
    }
    const { variable: keyed } = node.keypad;
    if (keyed === null) continue;
    const path = ["nodes", at, "keypad", "variable"];
    const variable = node.variables.find(({ name }) => name === keyed);
    if (variable === undefined) yield [path, "The node has no such variable"];
    else if (variable.type !== "string") {
      yield [path, "Must be a string: a number may begin with 0"];
    }
  }
}

function* edgeFaults({ nodes, edges }: Graph): Generator<readonly [Path, string]> {
  const types = new Map(nodes.map((node) => [node.id, node.type]));
  const functions = new Set<string>();
  for (const [at, edge] of edges.entries()) {
    if (!types.has(edge.from)) yield [["edges", at, "from"], "There is no such node"];
    if (!types.has(edge.to)) yield [["edges", at, "to"], "There is no such node"];
    if (types.get(edge.from) === "end") yield [["edges", at, "from"], "An end leads nowhere"];
    if (types.get(edge.to) === "start") yield [["edges", at, "to"], "Nothing leads to a start"];
    const name = `${edge.from} ${edge.function}`;
    if (functions.has(name)) yield [["edges", at, "function"], "This name is taken at its node"];
    functions.add(name);
    const node = nodes.find(({ id }) => id === edge.from);
    if (
      edge.function === "press_keys" && node !== undefined && node.type !== "end" &&
      node.mayPressKeys
    ) {
      yield [["edges", at, "function"], "This name is that of pressing keys"];
    }
  }
}

function* hookFaults({ nodes, hooks }: Graph): Generator<readonly [Path, string]> {
  const names = new Set<string>();
  for (const [at, { name, on }] of hooks.entries()) {
    if (names.has(name)) yield [["hooks", at, "name"], "This name is taken"];
    names.add(name);
    if (on.type === "moved" && !nodes.some(({ id }) => id === on.node)) {
      yield [["hooks", at, "on", "node"], "There is no such node"];
    }
  }
}

function reach(
  from: readonly Node[],
  next: (id: string) => readonly string[] | undefined,
): ReadonlySet<string> {
  const seen = new Set(from.map((node) => node.id));
  for (const id of seen) for (const to of next(id) ?? []) seen.add(to); // a Set grows as it is walked
  return seen;
}

/** `["nodes", 1, "id"]` → `nodes[1].id`. */
function pathText(path: Path): string {
  return path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key),
    "",
  );
}
