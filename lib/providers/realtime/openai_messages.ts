/** What OpenAI's Realtime API sends, as far as a call needs it. https://platform.openai.com/docs/api-reference/realtime-server-events */

import { z } from "zod";

const of = <T extends string>(type: T) => ({ type: z.literal(type) });
const ofItem = { item_id: z.string() };
const ofResponse = { response_id: z.string() };
const ms = z.number().min(0);
const count = z.number().min(0).optional();

const Usage = z.object({
  input_tokens: count,
  output_tokens: count,
  input_token_details: z.object({ audio_tokens: count }).optional(),
  output_token_details: z.object({ audio_tokens: count }).optional(),
});

const Failure = z.object({ code: z.string().nullish(), type: z.string().optional() });

const Finished = z.object({
  id: z.string(),
  status: z.enum(["completed", "cancelled", "incomplete", "failed"]),
  status_details: z.object({ reason: z.string().optional(), error: Failure.nullish() }).nullish(),
  usage: Usage.nullish(),
});

const WireError = z.object({
  type: z.string(),
  code: z.string().nullish(),
  /** Of the message of ours that it is about. */
  event_id: z.string().nullish(),
});

const TRANSCRIPTION = "conversation.item.input_audio_transcription";

export const WireMessage = z.discriminatedUnion("type", [
  z.object({ ...of("input_audio_buffer.speech_started"), ...ofItem, audio_start_ms: ms }),
  z.object({ ...of("input_audio_buffer.speech_stopped"), ...ofItem, audio_end_ms: ms }),
  z.object({ ...of("input_audio_buffer.committed"), ...ofItem }),
  z.object({ ...of(`${TRANSCRIPTION}.delta`), ...ofItem, delta: z.string().optional() }),
  z.object({ ...of(`${TRANSCRIPTION}.completed`), ...ofItem, transcript: z.string() }),
  z.object({ ...of(`${TRANSCRIPTION}.failed`), ...ofItem }),
  z.object({
    ...of("response.created"),
    response: z.object({
      id: z.string(),
      metadata: z.record(z.string(), z.string()).nullish(),
    }),
  }),
  z.object({
    ...of("response.output_audio.delta"),
    ...ofResponse,
    ...ofItem,
    delta: z.base64(),
  }),
  z.object({
    ...of("response.output_audio_transcript.delta"),
    ...ofResponse,
    ...ofItem,
    delta: z.string(),
  }),
  z.object({
    ...of("response.function_call_arguments.done"),
    ...ofResponse,
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
  }),
  z.object({ ...of("response.done"), response: Finished }),
  z.object({
    ...of("rate_limits.updated"),
    rate_limits: z.array(z.object({
      name: z.string().optional(),
      remaining: z.number().optional(),
      reset_seconds: z.number().optional(),
    })),
  }),
  z.object({ ...of("error"), error: WireError }),
]);

/** Others are told of as well, and say nothing that these do not. */
export const OtherMessage = z.object({ type: z.string() });

export type WireMessage = z.output<typeof WireMessage>;
export type WireFailure = z.output<typeof WireError>;
export type FinishedResponse = z.output<typeof Finished>;

export const KNOWN_TYPES: ReadonlySet<string> = new Set(
  WireMessage.options.map((option) => option.shape.type.value),
);
