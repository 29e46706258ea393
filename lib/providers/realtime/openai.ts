/** OpenAI's Realtime API over a WebSocket. https://platform.openai.com/docs/api-reference/realtime-client-events */

import type {
  RealtimeClientEvent,
  RealtimeSessionCreateRequest,
} from "openai/resources/realtime/realtime";
import type { Clock } from "@/lib/clock.ts";
import { providerError } from "@/lib/providers/http.ts";
import { connectSocket, jsonOf, type SocketClient } from "@/lib/providers/socket_client.ts";
import type { Secret } from "@/lib/secret.ts";
import {
  type FinishedResponse,
  KNOWN_TYPES,
  OtherMessage,
  type WireFailure,
  WireMessage,
} from "./openai_messages.ts";
import { speedOf, toItem, toSession, verbatim } from "./openai_requests.ts";
import type {
  AnswerEnd,
  AnswerUsage,
  Realtime,
  RealtimeCommand,
  RealtimeEvent,
  RealtimeLine,
  RealtimeSetup,
} from "./realtime.ts";

export interface OpenAIRealtimeOptions {
  readonly apiKey: Secret;
  /** As `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  readonly clock: Clock;
  /** As `gpt-realtime-1.5`. */
  readonly model: string;
  /** As `marin`; it stays the same for the whole session. */
  readonly voice: string;
  /** Of what the caller says. */
  readonly transcriptionModel: string;
  readonly connect?: typeof connectSocket;
}

const PROVIDER = "openai-realtime";
const CONNECT_MS = 2_000;
/** It acknowledges a setup, and begins an answer, within so long. */
const REPLY_TIMEOUT_MS = 4_000;
/** Of a silent caller it says nothing: after so long without a message it is asked whether it lives. */
const QUIET_MS = 5_000;
/** What an answer is known by in the `metadata` of its response. */
const TAG = "tag";

/**
 * Turns are ours to take: the server only tells when speech begins and ends. A pause of its detector's is
 * part of what it calls the end of speech, so the last word ended so much earlier.
 */
export function openaiRealtime(options: OpenAIRealtimeOptions): Realtime {
  const { apiKey, baseUrl, clock, model, connect = connectSocket } = options;
  const base = baseUrl.replace(/\/+$/, "");

  return {
    provider: PROVIDER,
    async open(setup, signal) {
      const socket = await connect(
        `${base}/realtime?model=${encodeURIComponent(model)}`,
        {
          provider: PROVIDER,
          headers: { Authorization: `Bearer ${apiKey.reveal()}` },
          clock,
          signal,
          connectTimeoutMs: CONNECT_MS,
        },
      );
      return lineOf(socket, setup, options);
    },
  };
}

function lineOf(
  socket: SocketClient,
  first: RealtimeSetup,
  options: OpenAIRealtimeOptions,
): RealtimeLine {
  const { clock, voice, transcriptionModel } = options;
  const tags = new Map<string, string>(); // of responses, by the server's ids
  const asked = new Map<string, string>(); // tags of what was sent, by our event ids
  const stopped = new Set<string>(); // tags that were stopped before they had an id
  const texts = new Map<string, string>(); // transcripts so far, by item
  let setup = first;
  let { speed } = first; // it has
  let nth = 0;
  let resetS: number | null = null;
  let heardOfAt = clock.now();
  let hasClosed = false;

  function send(event: RealtimeClientEvent): void {
    socket.send(JSON.stringify(event));
  }

  function update(session: RealtimeSessionCreateRequest, event_id = `set_${++nth}`): void {
    send({ type: "session.update", event_id, session });
    socket.expectReply(REPLY_TIMEOUT_MS);
  }

  /** While it speaks its pace must not be changed. */
  function nextSpeed(): number | null {
    if (setup.speed === speed || asked.size + tags.size > 0) return null;
    return speed = setup.speed;
  }

  function setUp(next: RealtimeSetup): void {
    setup = next;
    update(toSession({ setup, transcriptionModel, voice: null, speed: nextSpeed() }));
  }

  function lookAlive(): void {
    if (clock.now() - heardOfAt < QUIET_MS) return;
    heardOfAt = clock.now();
    update({ type: "realtime" }); // changes nothing, and is answered
  }

  function create(
    tag: string,
    response: NonNullable<Extract<RealtimeClientEvent, { type: "response.create" }>["response"]>,
  ): void {
    const event_id = `ask_${++nth}`;
    asked.set(event_id, tag);
    send({
      type: "response.create",
      event_id,
      response: { ...response, metadata: { [TAG]: tag } },
    });
    socket.expectReply(REPLY_TIMEOUT_MS);
  }

  function stop(tag: string): void {
    const [id] = [...tags].find(([, it]) => it === tag) ?? [];
    if (id === undefined) return void stopped.add(tag);
    send({ type: "response.cancel", response_id: id });
  }

  function perform(command: RealtimeCommand): void {
    switch (command.type) {
      case "setUp":
        return setUp(command.setup);
      case "audio":
        send({ type: "input_audio_buffer.append", audio: command.audio.toBase64() });
        return lookAlive();
      case "add":
        return send({ type: "conversation.item.create", item: toItem(command.item) });
      case "remove":
        return send({ type: "conversation.item.delete", item_id: command.itemId });
      case "truncate":
        return send({
          type: "conversation.item.truncate",
          item_id: command.itemId,
          content_index: 0,
          audio_end_ms: Math.floor(command.heardMs), // a fraction is refused
        });
      case "answer":
        return create(command.tag, {});
      case "say":
        return create(command.tag, {
          conversation: "none",
          input: [],
          tools: [],
          tool_choice: "none",
          instructions: verbatim(command.sentence),
        });
      case "stop":
        return stop(command.tag);
    }
  }

  function eventsOf(message: WireMessage): RealtimeEvent[] {
    switch (message.type) {
      case "input_audio_buffer.speech_started":
        return [{
          type: "speechStarted",
          itemId: message.item_id,
          atMs: message.audio_start_ms,
        }];
      case "input_audio_buffer.speech_stopped":
        return [{
          type: "speechStopped",
          itemId: message.item_id,
          lastWordEndMs: Math.max(0, message.audio_end_ms - (setup.silenceMs ?? 0)),
        }];
      case "input_audio_buffer.committed":
        return [{ type: "committed", itemId: message.item_id }];
      case "conversation.item.input_audio_transcription.delta": {
        const text = (texts.get(message.item_id) ?? "") + (message.delta ?? "");
        texts.set(message.item_id, text);
        return [{ type: "transcribing", itemId: message.item_id, text }];
      }
      case "conversation.item.input_audio_transcription.completed":
        texts.delete(message.item_id);
        return [{ type: "transcribed", itemId: message.item_id, text: message.transcript.trim() }];
      case "conversation.item.input_audio_transcription.failed":
        texts.delete(message.item_id);
        return [{ type: "transcribed", itemId: message.item_id, text: null }];
      case "response.created": {
        const tag = message.response.metadata?.[TAG];
        if (tag === undefined) return [];
        for (const [id, it] of asked) if (it === tag) asked.delete(id);
        tags.set(message.response.id, tag);
        if (stopped.delete(tag)) stop(tag);
        return [];
      }
      case "response.output_audio.delta": {
        const tag = tags.get(message.response_id);
        if (tag === undefined) return [];
        const audio = Uint8Array.fromBase64(message.delta);
        return [{ type: "audio", tag, itemId: message.item_id, audio }];
      }
      case "response.output_audio_transcript.delta": {
        const tag = tags.get(message.response_id);
        if (tag === undefined) return [];
        return [{ type: "words", tag, itemId: message.item_id, text: message.delta }];
      }
      case "response.function_call_arguments.done": {
        const tag = tags.get(message.response_id);
        const { call_id: id, name, arguments: args } = message;
        return tag === undefined
          ? []
          : [{ type: "toolCall", tag, call: { id, name, arguments: args } }];
      }
      case "response.done": {
        const { id, usage } = message.response;
        const tag = tags.get(id);
        tags.delete(id);
        const next = nextSpeed();
        if (next !== null) update({ type: "realtime", audio: { output: speedOf(next) } });
        if (tag === undefined) return [];
        const how = endOf(message.response, resetS);
        return [{ type: "answered", tag, how, usage: usage ? usageOf(usage) : null }];
      }
      case "rate_limits.updated": {
        const spent = message.rate_limits.filter(({ remaining }) => remaining === 0);
        const waits = spent.flatMap(({ reset_seconds }) => reset_seconds ?? []);
        resetS = waits.length > 0 ? Math.ceil(Math.max(...waits)) : null;
        return [];
      }
      case "error":
        return failure(message.error);
    }
  }

  function failure({ code, type, event_id }: WireFailure): RealtimeEvent[] {
    const what = code ?? type;
    if (FATAL.has(what) || event_id === FIRST) {
      throw providerError(PROVIDER, `it ended the session: "${what}"`, {
        retryable: what === "session_expired",
      });
    }
    const tag = asked.get(event_id ?? "") ?? null;
    asked.delete(event_id ?? "");
    return [{ type: "refused", tag, code: what }];
  }

  // Before any audio, which would be taken for another format.
  update(toSession({ setup, transcriptionModel, voice, speed }), FIRST);
  return {
    send(command) {
      if (!hasClosed) perform(command);
    },
    close() {
      hasClosed = true;
      socket.close();
    },
    async *[Symbol.asyncIterator]() {
      for await (const raw of socket) {
        heardOfAt = clock.now();
        const message = parse(raw);
        if (message !== null) yield* eventsOf(message);
      }
      if (!hasClosed) throw providerError(PROVIDER, "it closed the session");
    },
  };
}

/** Null for one that says nothing we need. */
function parse(raw: string | Uint8Array): WireMessage | null {
  const json = jsonOf(raw);
  const other = OtherMessage.safeParse(json);
  if (other.success && !KNOWN_TYPES.has(other.data.type)) return null;
  const message = WireMessage.safeParse(json);
  if (message.success) return message.data;
  throw providerError(PROVIDER, "it sent a message that is not of its protocol");
}

/** The event id of the setup that a session begins with. */
const FIRST = "set_up";

/** Behind these the server closes, or no answer will ever come. */
const FATAL: ReadonlySet<string> = new Set([
  "session_expired",
  "invalid_api_key",
  "insufficient_quota",
  "model_not_found",
]);

function endOf(
  { status, status_details: details }: FinishedResponse,
  retryAfterS: number | null,
): AnswerEnd {
  switch (status) {
    case "completed":
      return { type: "complete" };
    case "cancelled":
      return { type: "stopped" };
    case "incomplete":
      return { type: details?.reason === "content_filter" ? "filtered" : "length" };
    case "failed": {
      const code = details?.error?.code ?? details?.error?.type ?? "failed";
      return { type: "failed", code, retryAfterS };
    }
  }
}

function usageOf(usage: NonNullable<FinishedResponse["usage"]>): AnswerUsage {
  return {
    inputTokens: usage.input_tokens ?? 0,
    outputTokens: usage.output_tokens ?? 0,
    inputAudioTokens: usage.input_token_details?.audio_tokens ?? 0,
    outputAudioTokens: usage.output_token_details?.audio_tokens ?? 0,
  };
}
