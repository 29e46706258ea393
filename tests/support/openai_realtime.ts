/** OpenAI's Realtime API on loopback or in memory: it hears and speaks tones, and is as strict as the real one. */

import type { Clock } from "@/lib/clock.ts";
import { systemClock } from "@/lib/clock.ts";
import type { LanguageModel } from "@/lib/providers/llm/llm.ts";
import type {
  RealtimeEvent,
  RealtimeItem,
  RealtimeLine,
  RealtimeSetup,
} from "@/lib/providers/realtime/realtime.ts";
import { simulatedLine } from "@/lib/providers/realtime/simulated.ts";
import { ClientMessage, type ResponseRequest, type WireItem } from "./openai_realtime_messages.ts";
import {
  type Peer,
  type ProtocolServer,
  type Session,
  startProtocolServer,
} from "./protocol_server.ts";

export interface OpenAIRealtimeServerOptions {
  readonly apiKey: string;
  readonly clock?: Clock;
  /** What answers; simple rules when absent. */
  readonly brain?: LanguageModel;
  readonly transcriptionMs?: number;
}

/** What goes wrong with answers to come, each used once, in order. */
export type AnswerFault =
  /** It fails, as by `rate_limit_exceeded` or `server_error`. */
  | { readonly type: "fail"; readonly code: string }
  /** The request is refused with an `error` event. */
  | { readonly type: "refuse"; readonly code: string }
  /** The connection is cut once so much of its sound was sent. */
  | { readonly type: "drop"; readonly afterMs: number };

export interface RealtimeLog {
  /** All that clients sent, in order, over all connections; audio is left out. */
  readonly received: readonly ClientMessage[];
  /** Function calls that a response was asked for without an output of. The real one then hangs. */
  readonly unanswered: readonly string[];
  /** What it refused, in its own codes. */
  readonly refusals: readonly string[];
  readonly connections: number;
  failAnswers(...faults: AnswerFault[]): void;
  /** Sends each open connection an error that belongs to no request. */
  sendError(code: string): void;
  /** Cuts each open connection. */
  drop(): void;
}

export interface OpenAIRealtimeServer extends ProtocolServer, RealtimeLog {
  /** Of each connection. */
  readonly requestedModels: readonly string[];
}

export async function startOpenAIRealtime(
  options: OpenAIRealtimeServerOptions,
): Promise<OpenAIRealtimeServer> {
  const { log, open } = openaiRealtimeDesk(options);
  const requestedModels: string[] = [];
  const server = await startProtocolServer({
    accept(request, url) {
      if (url.pathname !== "/realtime") return 404;
      if (request.headers.authorization !== `Bearer ${options.apiKey}`) return 401;
      const model = url.searchParams.get("model");
      if (model === null) return 400;
      requestedModels.push(model);
      return (peer) => open(peer);
    },
  });
  const described = Object.getOwnPropertyDescriptors(log);
  const known = Object.defineProperties(server, described) as ProtocolServer & RealtimeLog;
  return Object.assign(known, { requestedModels });
}

/** What its connections share, over whatever they come. */
export function openaiRealtimeDesk(options: OpenAIRealtimeServerOptions): {
  readonly log: RealtimeLog;
  open(peer: Peer): Session;
} {
  const received: ClientMessage[] = [];
  const unanswered: string[] = [];
  const refusals: string[] = [];
  const faults: AnswerFault[] = [];
  const peers = new Set<Peer>();
  let connections = 0;
  const shared = { received, unanswered, refusals, nextFault: () => faults.shift() };
  return {
    log: {
      received,
      unanswered,
      refusals,
      get connections() {
        return connections;
      },
      failAnswers: (...next) => void faults.push(...next),
      sendError(code) {
        for (const peer of peers) {
          peer.send({
            type: "error",
            event_id: `event_${code}`,
            error: { type: "invalid_request_error", code, message: code, event_id: null },
          });
        }
      },
      drop() {
        for (const peer of peers) peer.close(1011, "keepalive ping timeout");
      },
    },
    open(peer) {
      connections++;
      peers.add(peer);
      const session = newConnection(peer, options, shared);
      return {
        ...session,
        closed() {
          peers.delete(peer);
          session.closed();
        },
      };
    },
  };
}

interface Shared {
  readonly received: ClientMessage[];
  readonly unanswered: string[];
  readonly refusals: string[];
  nextFault(): AnswerFault | undefined;
}

interface Running {
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly isAside: boolean;
  readonly dropAfterBytes: number | null;
  itemId: string | null;
  bytes: number;
  transcript: string;
  outputs: number;
  isStopped: boolean;
}

const BLANK: RealtimeSetup = {
  ...{ instructions: "", tools: [], maxTokens: null, language: "en", keyterms: [] },
  ...{ silenceMs: 500, speed: 1 },
};

function newConnection(
  peer: Peer,
  { clock = systemClock, brain, transcriptionMs }: OpenAIRealtimeServerOptions,
  { received, unanswered, refusals, nextFault }: Shared,
): Session {
  const closed = new AbortController();
  const items = new Map<string, { readonly inner: string; bytes: number | null }>();
  const calls = new Set<string>();
  const outputs = new Set<string>();
  const responses = new Map<string, Running>();
  let setup = BLANK;
  let line: RealtimeLine | null = null;
  let voice: string | null = null;
  let hasSpoken = false;
  let nth = 0;

  function send(type: string, fields: Readonly<Record<string, unknown>>): void {
    peer.send({ type, event_id: `event_${++nth}`, ...fields });
  }

  function refuse(code: string, eventId: string | undefined): void {
    refusals.push(code);
    const error = { type: "invalid_request_error", code, message: code, param: null };
    send("error", { error: { ...error, event_id: eventId ?? null } });
  }

  /** The session hears and answers once it is set up: until then nobody knows in which format. */
  function begin(): RealtimeLine {
    const opened = simulatedLine(setup, closed.signal, {
      clock,
      ...(brain === undefined ? {} : { brain }),
      ...(transcriptionMs === undefined ? {} : { transcriptionMs }),
    });
    (async () => {
      for await (const event of opened) tell(event);
    })().catch(() => {}); // it was closed
    return opened;
  }

  function tell(event: RealtimeEvent): void {
    switch (event.type) {
      case "speechStarted":
        return send("input_audio_buffer.speech_started", {
          audio_start_ms: Math.round(event.atMs),
          item_id: event.itemId,
        });
      case "speechStopped":
        return send("input_audio_buffer.speech_stopped", {
          audio_end_ms: Math.round(event.lastWordEndMs + (setup.silenceMs ?? 0)),
          item_id: event.itemId,
        });
      case "committed": {
        const { itemId } = event;
        items.set(itemId, { inner: itemId, bytes: null });
        send("input_audio_buffer.committed", { item_id: itemId, previous_item_id: null });
        const content = [{ type: "input_audio", transcript: null }];
        const item = { id: itemId, type: "message", role: "user", status: "completed", content };
        send("conversation.item.added", { previous_item_id: null, item });
        return send("conversation.item.done", { previous_item_id: null, item });
      }
      case "transcribing":
        return;
      case "transcribed": {
        const name = "conversation.item.input_audio_transcription";
        const common = { item_id: event.itemId, content_index: 0 };
        if (event.text === null) {
          return send(`${name}.failed`, { ...common, error: { code: "audio_unintelligible" } });
        }
        send(`${name}.delta`, { ...common, delta: event.text });
        const usage = { type: "duration", seconds: 1 };
        return send(`${name}.completed`, { ...common, transcript: event.text, usage });
      }
      case "words":
        return words(event.tag, event.itemId, event.text);
      case "audio":
        return sound(event.tag, event.itemId, event.audio);
      case "toolCall": {
        const response = responses.get(event.tag);
        if (response === undefined || response.isStopped) return;
        finishMessage(event.tag, response);
        const { id: call_id, name, arguments: args } = event.call;
        calls.add(call_id);
        const output_index = response.outputs++;
        const at = { response_id: event.tag, item_id: `item_${call_id}`, output_index };
        const item = { id: at.item_id, type: "function_call", call_id, name, arguments: args };
        send("response.output_item.added", { ...at, item: { ...item, arguments: "" } });
        send("response.function_call_arguments.delta", { ...at, call_id, delta: args });
        send("response.function_call_arguments.done", { ...at, call_id, name, arguments: args });
        return send("response.output_item.done", { ...at, item });
      }
      case "answered": {
        const { tag, how, usage } = event;
        const response = responses.get(tag);
        if (response === undefined) return;
        finishMessage(tag, response);
        return done(tag, response, {
          status: how.type === "stopped"
            ? "cancelled"
            : how.type === "failed"
            ? how.type
            : "completed",
          status_details: how.type === "failed"
            ? { type: "failed", error: { type: "server_error", code: how.code } }
            : how.type === "stopped"
            ? { type: "cancelled", reason: "client_cancelled" }
            : null,
          usage: usage && {
            total_tokens: usage.inputTokens + usage.outputTokens,
            input_tokens: usage.inputTokens,
            output_tokens: usage.outputTokens,
            input_token_details: { audio_tokens: 0, text_tokens: usage.inputTokens },
            output_token_details: { audio_tokens: 0, text_tokens: usage.outputTokens },
          },
        });
      }
      case "refused":
        return;
    }
  }

  function done(
    id: string,
    { metadata }: Pick<Running, "metadata">,
    how: Readonly<Record<string, unknown>>,
  ): void {
    responses.delete(id);
    send("response.done", { response: { object: "realtime.response", id, metadata, ...how } });
  }

  function message(id: string, response: Running): string {
    if (response.itemId !== null) return response.itemId;
    const itemId = `item_of_${id}`;
    response.itemId = itemId;
    const output_index = response.outputs++;
    const item = { id: itemId, type: "message", role: "assistant", content: [] };
    send("response.output_item.added", { response_id: id, output_index, item });
    if (!response.isAside) send("conversation.item.added", { previous_item_id: null, item });
    const part = { type: "audio", transcript: "" };
    send("response.content_part.added", { ...partOf(id, itemId), part });
    return itemId;
  }

  function words(id: string, inner: string, delta: string): void {
    const response = responses.get(id);
    if (response === undefined || response.isStopped) return;
    response.transcript += delta;
    const itemId = message(id, response);
    if (!response.isAside) items.set(itemId, { inner, bytes: response.bytes });
    const at = partOf(id, itemId);
    send("response.output_audio_transcript.delta", { ...at, delta });
  }

  function sound(id: string, inner: string, audio: Uint8Array): void {
    const response = responses.get(id);
    if (response === undefined || response.isStopped) return;
    const itemId = message(id, response);
    response.bytes += audio.length;
    if (!response.isAside) items.set(itemId, { inner, bytes: response.bytes });
    hasSpoken = true;
    const { dropAfterBytes } = response;
    if (dropAfterBytes !== null && response.bytes > dropAfterBytes) {
      return peer.close(1011, "internal error");
    }
    send("response.output_audio.delta", { ...partOf(id, itemId), delta: audio.toBase64() });
  }

  function finishMessage(id: string, { itemId, transcript, isStopped }: Running): void {
    if (itemId === null || isStopped) return;
    const at = partOf(id, itemId);
    send("response.output_audio.done", at);
    send("response.output_audio_transcript.done", { ...at, transcript });
    send("response.content_part.done", { ...at, part: { type: "audio", transcript } });
  }

  function ask(request: ResponseRequest, eventId: string | undefined): void {
    const { metadata = null, conversation = "auto", instructions } = request;
    const isAside = conversation === "none";
    const fault = nextFault();
    if (fault?.type === "refuse") return refuse(fault.code, eventId);
    if (!isAside && [...responses.values()].some((it) => !it.isAside)) {
      return refuse("conversation_already_has_active_response", eventId);
    }
    const id = `resp_${++nth}`;
    send("response.created", {
      response: { object: "realtime.response", id, status: "in_progress", metadata, output: [] },
    });
    if (fault?.type === "fail") {
      if (fault.code === "rate_limit_exceeded") {
        const limit = { name: "tokens", limit: 20_000, remaining: 0, reset_seconds: 2.5 };
        send("rate_limits.updated", { rate_limits: [limit] });
      }
      const error = { type: "server_error", code: fault.code };
      return done(id, { metadata }, {
        status: "failed",
        status_details: { type: "failed", error },
      });
    }
    const dropAfterBytes = fault?.type === "drop" ? fault.afterMs * 8 : null;
    responses.set(id, {
      ...{ metadata, isAside, dropAfterBytes, itemId: null, bytes: 0, transcript: "" },
      ...{ outputs: 0, isStopped: false },
    });
    if (isAside) {
      const sentence = instructions?.split("\n").slice(1).join("\n") ?? "";
      return line?.send({ type: "say", tag: id, sentence });
    }
    const open = [...calls].filter((call) => !outputs.has(call));
    unanswered.push(...open);
    if (open.length === 0) line?.send({ type: "answer", tag: id }); // else it hangs
  }

  function create(item: WireItem, eventId: string | undefined): void {
    const id = item.id ?? `item_${++nth}`;
    if (items.has(id)) return refuse("item_create_duplicate_id", eventId);
    if (item.type === "function_call_output") {
      if (!calls.has(item.call_id)) return refuse("item_create_invalid_call_id", eventId);
      if (outputs.has(item.call_id)) return refuse("item_create_second_output", eventId);
      outputs.add(item.call_id);
    }
    if (item.type === "function_call") calls.add(item.call_id);
    items.set(id, { inner: id, bytes: null });
    line?.send({ type: "add", item: innerOf(id, item) });
    send("conversation.item.added", { previous_item_id: null, item: { ...item, id } });
    send("conversation.item.done", { previous_item_id: null, item: { ...item, id } });
  }

  function take(event: ClientMessage): void {
    const eventId = event.event_id;
    switch (event.type) {
      case "session.update": {
        const { audio, instructions, tools } = event.session;
        const next = audio?.output?.voice ?? null;
        if (next !== null && next !== voice && hasSpoken) {
          return refuse("cannot_update_voice", eventId);
        }
        voice = next ?? voice;
        const turns = audio?.input?.turn_detection;
        setup = {
          ...setup,
          ...(instructions === undefined ? {} : { instructions }),
          ...(tools === undefined ? {} : { tools }),
          ...(turns?.type === "server_vad" ? { silenceMs: turns.silence_duration_ms ?? 500 } : {}),
          ...(turns?.type === "semantic_vad" ? { silenceMs: null } : {}),
        };
        if (line !== null) line.send({ type: "setUp", setup });
        else line = begin();
        return send("session.updated", { session: event.session });
      }
      case "input_audio_buffer.append":
        if (line === null) return refuse("audio_format_not_set", eventId);
        return line.send({ type: "audio", audio: Uint8Array.fromBase64(event.audio) });
      case "conversation.item.create":
        return create(event.item, eventId);
      case "conversation.item.delete": {
        const item = items.get(event.item_id);
        if (item === undefined) return refuse("item_delete_invalid_item_id", eventId);
        items.delete(event.item_id);
        line?.send({ type: "remove", itemId: item.inner });
        return send("conversation.item.deleted", { item_id: event.item_id });
      }
      case "conversation.item.truncate": {
        const { item_id, audio_end_ms, content_index } = event;
        const item = items.get(item_id);
        if (item === undefined) return refuse("item_truncate_invalid_item_id", eventId);
        if (item.bytes === null || audio_end_ms * 8 > item.bytes) {
          return refuse("invalid_value", eventId);
        }
        item.bytes = audio_end_ms * 8;
        line?.send({ type: "truncate", itemId: item.inner, heardMs: audio_end_ms });
        return send("conversation.item.truncated", { item_id, audio_end_ms, content_index });
      }
      case "response.create":
        return ask(event.response ?? {}, eventId);
      case "response.cancel": {
        const id = event.response_id ?? [...responses].find(([, it]) => !it.isAside)?.[0];
        const response = responses.get(id ?? "");
        if (response === undefined) return refuse("response_cancel_not_active", eventId);
        response.isStopped = true;
        return line?.send({ type: "stop", tag: id ?? "" });
      }
    }
  }

  send("session.created", { session: { type: "realtime", id: "sess_1" } });
  return {
    text(raw) {
      const json: unknown = jsonOf(raw);
      const parsed = ClientMessage.safeParse(json);
      if (!parsed.success) {
        const eventId: unknown = Object(json).event_id;
        return refuse(
          `invalid: ${parsed.error.issues[0]?.message}`,
          typeof eventId === "string" ? eventId : undefined,
        );
      }
      if (parsed.data.type !== "input_audio_buffer.append") received.push(parsed.data);
      take(parsed.data);
    },
    bytes: () => peer.close(1003, "Binary messages are not of the protocol"),
    closed: () => closed.abort(),
  };
}

function partOf(response_id: string, item_id: string) {
  return { response_id, item_id, output_index: 0, content_index: 0 };
}

function innerOf(id: string, item: WireItem): RealtimeItem {
  switch (item.type) {
    case "message":
      return {
        type: item.role === "user" ? "caller" : "agent",
        id,
        text: item.content[0]?.text ?? "",
      };
    case "function_call":
      return {
        type: "toolCall",
        id,
        call: { id: item.call_id, name: item.name, arguments: item.arguments },
      };
    case "function_call_output":
      return { type: "toolOutput", id, callId: item.call_id, output: item.output };
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
