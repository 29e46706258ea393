/** What OpenAI's Realtime API takes from its clients, and nothing else. https://platform.openai.com/docs/api-reference/realtime-client-events */

import { z } from "zod";

const id = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/);
const eventId = { event_id: z.string().max(512).optional() };

const ToolJson = z.strictObject({
  type: z.literal("function"),
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
  description: z.string(),
  parameters: z.looseObject({ type: z.literal("object") }),
});

const toolChoice = z.enum(["auto", "none", "required"]);
const Format = z.strictObject({ type: z.literal("audio/pcmu") }); // all that is spoken here
const turns = {
  create_response: z.boolean().optional(),
  interrupt_response: z.boolean().optional(),
};

const SessionJson = z.strictObject({
  type: z.literal("realtime"),
  instructions: z.string().optional(),
  tools: z.array(ToolJson).optional(),
  tool_choice: toolChoice.optional(),
  max_output_tokens: z.union([z.int().min(1).max(4096), z.literal("inf")]).optional(),
  output_modalities: z.tuple([z.enum(["audio", "text"])]).optional(),
  audio: z.strictObject({
    input: z.strictObject({
      format: Format.optional(),
      transcription: z.strictObject({
        model: z.string(),
        language: z.string().regex(/^[a-z]{2,3}$/).optional(),
        prompt: z.string().optional(),
        keywords: z.array(z.string()).optional(),
      }).refine(({ model, keywords }) =>
        keywords === undefined || /^gpt-(live-)?transcribe$/.test(model)
      ).optional(),
      turn_detection: z.discriminatedUnion("type", [
        z.strictObject({
          type: z.literal("server_vad"),
          silence_duration_ms: z.int().min(0).optional(),
          threshold: z.number().min(0).max(1).optional(),
          prefix_padding_ms: z.int().min(0).optional(),
          ...turns,
        }),
        z.strictObject({
          type: z.literal("semantic_vad"),
          eagerness: z.enum(["low", "medium", "high", "auto"]).optional(),
          ...turns,
        }),
      ]).nullable().optional(),
    }).optional(),
    output: z.strictObject({
      format: Format.optional(),
      voice: z.enum([
        ...["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse"] as const,
        ...["marin", "cedar"] as const,
      ]).optional(),
      speed: z.number().min(0.25).max(1.5).optional(),
    }).optional(),
  }).optional(),
});

const ItemJson = z.union([
  z.strictObject({
    type: z.literal("message"),
    id: id.optional(),
    role: z.literal("user"),
    content: z.array(z.strictObject({ type: z.literal("input_text"), text: z.string() })).length(1),
  }),
  z.strictObject({
    type: z.literal("message"),
    id: id.optional(),
    role: z.literal("assistant"),
    content: z.array(z.strictObject({ type: z.literal("output_text"), text: z.string() })).length(
      1,
    ),
  }),
  z.strictObject({
    type: z.literal("function_call"),
    id: id.optional(),
    call_id: z.string().min(1).max(64),
    name: z.string(),
    arguments: z.string(),
  }),
  z.strictObject({
    type: z.literal("function_call_output"),
    id: id.optional(),
    call_id: z.string().min(1).max(64),
    output: z.string(),
  }),
]);

export type WireItem = z.infer<typeof ItemJson>;

export const ClientMessage = z.discriminatedUnion("type", [
  z.strictObject({ ...eventId, type: z.literal("session.update"), session: SessionJson }),
  z.strictObject({
    ...eventId,
    type: z.literal("input_audio_buffer.append"),
    audio: z.base64(),
  }),
  z.strictObject({
    ...eventId,
    type: z.literal("conversation.item.create"),
    previous_item_id: id.optional(),
    item: ItemJson,
  }),
  z.strictObject({ ...eventId, type: z.literal("conversation.item.delete"), item_id: id }),
  z.strictObject({
    ...eventId,
    type: z.literal("conversation.item.truncate"),
    item_id: id,
    content_index: z.literal(0),
    audio_end_ms: z.int().min(0), // a fraction is refused
  }),
  z.strictObject({
    ...eventId,
    type: z.literal("response.create"),
    response: z.strictObject({
      conversation: z.enum(["auto", "none"]).optional(),
      input: z.array(ItemJson).optional(),
      instructions: z.string().optional(),
      tools: z.array(ToolJson).optional(),
      tool_choice: toolChoice.optional(),
      metadata: z.record(z.string().max(64), z.string().max(512)).optional(),
    }).optional(),
  }),
  z.strictObject({
    ...eventId,
    type: z.literal("response.cancel"),
    response_id: z.string().optional(),
  }),
]);

export type ClientMessage = z.infer<typeof ClientMessage>;
export type WireSession = z.infer<typeof SessionJson>;
export type ResponseRequest = NonNullable<
  Extract<ClientMessage, { type: "response.create" }>["response"]
>;
