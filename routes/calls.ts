/** Calls over REST: place one, read one, read or watch what happens in it, end it. */

import { createRoute, z } from "@hono/zod-openapi";
import type { CallUsage } from "@/lib/conversation/usage.ts";
import { Keys } from "@/lib/workflow/press_keys.ts";
import { STREAM_HEADERS } from "./call_stream.ts";
import { answer, body, id, idField, listOf, newRoutes, PAGE_MAX, PageQuery } from "./openapi.ts";
import { Phone, SIGNED_IN, Time } from "./openapi.ts";

const NewCall = z.strictObject({ agentId: idField("agent"), to: Phone, from: Phone });

const Direction = z.enum(["inbound", "outbound"]);
const Status = z.enum(["ringing", "live", "ended"]);
const Outcome = z.enum(["answered", "busy", "no_answer", "voicemail", "failed"]);

const Count = z.int().nonnegative();

const Usage = z.object({
  models: z.array(z.object({
    model: z.string().meta({ description: "As its provider calls it" }),
    requests: Count.meta({ description: "Those that were answered to their end" }),
    inputTokens: Count,
    outputTokens: Count,
    inputAudioTokens: Count.meta({ description: "Of the input, what stands for sound" }),
    outputAudioTokens: Count,
  })),
  brokenOff: z.object({ requests: Count, tokens: Count }).meta({
    description:
      "Requests that were withdrawn or failed, as when a caller barges in: no model tells of them, so their tokens, in and out, are reckoned at four characters each",
  }),
  wasted: z.object({ replies: Count, tokens: Count }).meta({
    description:
      "Replies that an eager agent made in advance and dropped, by the same reckoning; their requests are among the others",
  }),
  voices: z.array(z.object({
    provider: z.string().meta({ description: "In the order in which they are asked, with `+`" }),
    characters: Count.meta({ description: "Given to be spoken" }),
  })),
  recognisers: z.array(z.object({
    provider: z.string().meta({ description: "In the order in which they are asked, with `+`" }),
    ms: Count.meta({ description: "Audio of the line that was given to be recognised" }),
  })),
}).openapi("CallUsage") satisfies z.ZodType<CallUsage>;

const Call = z.object({
  id: id("call"),
  agentId: id("agent"),
  direction: Direction,
  channel: z.enum(["phone", "web", "room"]).meta({
    description: "web: from a page in a browser; room: in a LiveKit room",
  }),
  from: z.string(),
  to: z.string(),
  placedBy: z.string().nullable().meta({
    description: "The id of a person or a key, or an operator's name; null: it came in",
  }),
  status: Status,
  outcome: z.string().nullable(),
  reason: z.string().nullable(),
  variables: z.record(z.string(), z.unknown()),
  usage: Usage.nullable().meta({
    description:
      "Of providers; null until the call has ended, and of one that ended with its machine",
  }),
  startedAt: Time,
  answeredAt: Time.nullable(),
  endedAt: Time.nullable(),
  durationMs: z.int().nullable().meta({ description: "From the answer to the end" }),
}).openapi("Call");

const Event = z.object({
  seq: z.int(),
  type: z.string(),
  at: Time,
  payload: z.unknown(),
}).openapi("CallEvent");

const Transcript = z.object({
  callId: id("call"),
  isComplete: z.boolean(),
  turns: z.array(z.object({
    turn: z.int(),
    speaker: z.enum(["caller", "agent", "colleague"]),
    text: z.string().meta({ description: "What was heard" }),
    unheard: z.string().meta({
      description: "What the agent was about to say when it was cut off",
    }),
    startedAt: Time.nullable(),
    endedAt: Time,
    gapMs: z.number().nullable().meta({ description: "The silence before the agent spoke" }),
    interrupted: z.boolean(),
  })),
}).openapi("Transcript");

const sides = z.object({ agent: z.number(), caller: z.number() });
const Analysis = z.object({
  callId: id("call"),
  analysis: z.object({
    outcome: z.string().nullable(),
    reason: z.string().nullable(),
    workflowOutcome: z.string().nullable(),
    variables: z.record(z.string(), z.unknown()),
    ringMs: z.number().nullable(),
    durationMs: z.number(),
    turns: sides,
    words: sides,
    speechMs: sides,
    agentTalkRatio: z.number().nullable(),
    gapMs: z.object({ p50: z.number(), p95: z.number(), max: z.number() }).nullable(),
    bargeIns: z.int(),
    toolCalls: z.int(),
    failures: z.int(),
    legsLost: z.int(),
    diagnosis: z.string().nullable().optional().meta({
      description: "Why a side was never heard, as `carrier_not_playing`; null: both were",
    }),
  }).nullable().meta({ description: "Null until a second or two after the end" }),
}).openapi("CallAnalysis");

const CallsQuery = PageQuery.extend({
  status: Status.optional(),
  outcome: Outcome.optional(),
  direction: Direction.optional(),
  agentId: idField("agent").optional(),
  number: Phone.optional().meta({ description: "Called or calling" }),
  from: Time.optional().meta({ description: "Started at this time or later" }),
  to: Time.optional().meta({ description: "Started before this time" }),
});
const EventQuery = z.strictObject({
  after: z.coerce.number().int().min(0).max(2 ** 31 - 1).default(0).meta({
    description: "The `seq` of the last event already seen",
  }),
  cursor: z.string().regex(/^\d{1,9}$/, "Not one that was given out").optional().meta({
    description: "The `next` of the page before; it goes before `after`",
  }),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(100),
});
const TranscriptQuery = z.strictObject({ format: z.enum(["json", "text"]).optional() });
const StreamQuery = EventQuery.pick({ after: true });
const StreamHeaders = z.object({
  "last-event-id": z.string().regex(/^\d{1,9}$/, "Not an id that was given out").optional(),
});
const params = z.object({ id: id("call") });
const common = { tags: ["Calls"], security: SIGNED_IN };

const place = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Place a call",
  request: { body: body(NewCall) },
  responses: { 201: answer(z.object({ id: id("call") }), "The carrier has taken it") },
});

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List calls, newest first",
  request: { query: CallsQuery },
  responses: { 200: answer(listOf(Call), "A page of calls") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read a call",
  request: { params },
  responses: { 200: answer(Call, "The call") },
});

const events = createRoute({
  ...common,
  method: "get",
  path: "/{id}/events",
  summary: "What happened in a call, in order",
  description:
    "What was said is told while it is: `caller_began`, `caller_heard` and, when their " +
    "turn is over, `caller_said`; `speech_given` as the agent is about to speak, `speech_heard` " +
    "once a second at most, and `agent_said` with what was heard of all. A call whose machine is " +
    "lost goes on from them.",
  request: { params, query: EventQuery },
  responses: { 200: answer(listOf(Event), "A page of events") },
});

const transcript = createRoute({
  ...common,
  method: "get",
  path: "/{id}/transcript",
  summary: "Who said what in a call, and when",
  description: "As JSON; as plain text with `format=text`, or for who accepts `text/plain`.",
  request: { params, query: TranscriptQuery },
  responses: {
    200: {
      description: "The transcript so far",
      content: {
        "application/json": { schema: Transcript },
        "text/plain": { schema: z.string() },
      },
    },
  },
});

const analysis = createRoute({
  ...common,
  method: "get",
  path: "/{id}/analysis",
  summary: "The figures of a call that has ended",
  request: { params },
  responses: { 200: answer(Analysis, "Counts and milliseconds, from the record of the call") },
});

const hangUp = createRoute({
  ...common,
  method: "post",
  path: "/{id}/hang-up",
  summary: "End a live call",
  request: { params },
  responses: { 204: { description: "It is being ended" } },
});

const SENTENCE_MAX = 1_000; // characters: a minute of speech
const CONTEXT_MAX = 4_000;
const Say = z.strictObject({
  text: z.string().trim().min(1).max(SENTENCE_MAX),
  interrupts: z.boolean().default(false).meta({
    description: "True: at once, over what the agent is saying. Nothing is said over the caller",
  }),
});
const Context = z.strictObject({ text: z.string().trim().min(1).max(CONTEXT_MAX) });
const Transfer = z.strictObject({
  to: Phone,
  sentence: z.string().trim().min(1).max(SENTENCE_MAX).nullable().default(null).meta({
    description: "Said before the caller is handed over",
  }),
});
const PressKeys = z.strictObject({
  digits: Keys.meta({ description: "0 to 9, A to D, * and #; w waits for half a second" }),
});
const taken = {
  204: { description: "The call has taken it; it stands in the call's events as `controlled`" },
};

const say = createRoute({
  ...common,
  method: "post",
  path: "/{id}/say",
  summary: "Have the agent say something, word for word",
  request: { params, body: body(Say) },
  responses: taken,
});

const ListenTicket = z.object({
  ticket: z.string(),
  expiresAt: Time,
  url: z.string().meta({ description: "The socket to open with it" }),
}).openapi("ListenTicket");

const listen = createRoute({
  ...common,
  method: "post",
  path: "/{id}/listen-tickets",
  operationId: "createListenTicket",
  summary: "A ticket to listen to a live call, and to speak in the agent's place",
  description:
    "Good once, for a minute, as the second WebSocket protocol behind `ringmaster.listen.v1`; see docs/listening.md.",
  request: { params },
  responses: { 201: answer(ListenTicket, "The ticket: `ticket.{ticket}`") },
});

const addContext = createRoute({
  ...common,
  method: "post",
  path: "/{id}/context",
  summary: "Tell the agent something that the caller does not hear",
  description: "Its model knows it from its next reply on.",
  request: { params, body: body(Context) },
  responses: taken,
});

const mute = createRoute({
  ...common,
  method: "post",
  path: "/{id}/mute",
  summary: "Silence the agent",
  description: "It listens and keeps the record, and says only what it is given to say.",
  request: { params },
  responses: taken,
});

const unmute = createRoute({
  ...common,
  method: "post",
  path: "/{id}/unmute",
  summary: "Let the agent speak again",
  request: { params },
  responses: taken,
});

const transfer = createRoute({
  ...common,
  method: "post",
  path: "/{id}/transfer",
  summary: "Hand the caller over to another number",
  description: "Blind: the agent leaves the call. It counts as a call that is placed.",
  request: { params, body: body(Transfer) },
  responses: taken,
});

const dtmf = createRoute({
  ...common,
  method: "post",
  path: "/{id}/dtmf",
  summary: "Press keys on the caller's line",
  description:
    "Their tones are heard as soon as nobody speaks, and nothing interrupts them. What " +
    "was pressed stands in the call's events as `keys_sent`.",
  request: { params, body: body(PressKeys) },
  responses: taken,
});

const pauseRecording = createRoute({
  ...common,
  method: "post",
  path: "/{id}/recording/pause",
  summary: "Silence the recording of a live call",
  description: "Until it is resumed there is silence in it, so that times stay what they were.",
  request: { params },
  responses: taken,
});

const resumeRecording = createRoute({
  ...common,
  method: "post",
  path: "/{id}/recording/resume",
  summary: "Record the call again",
  description: "At a sensitive node of the agent it stays silent all the same.",
  request: { params },
  responses: taken,
});

const stream = createRoute({
  ...common,
  method: "get",
  path: "/{id}/stream",
  summary: "Watch a call as it happens",
  description:
    "Server-Sent Events: each event of the call once, its `seq` as the id. A reader that " +
    "comes again with `Last-Event-ID`, or `after`, goes on from there. `end` is the last one.",
  request: { params, query: StreamQuery, headers: StreamHeaders },
  responses: {
    200: {
      description: "Events, until the call has ended",
      content: { "text/event-stream": { schema: z.string() } },
    },
  },
});

/** `text/plain` before JSON, or without it. */
function wantsText(accept: string | undefined): boolean {
  const [first] = /text\/plain|application\/json|\*\/\*/.exec(accept ?? "") ?? [];
  return first === "text/plain";
}

export const calls = newRoutes()
  .openapi(place, async (c) => c.json(await c.var.desk("placeCall", c.req.valid("json")), 201))
  .openapi(list, async (c) => c.json(await c.var.desk("calls", c.req.valid("query")), 200))
  .openapi(get, async (c) => c.json(await c.var.desk("call", c.req.valid("param").id), 200))
  .openapi(events, async (c) => {
    const { cursor, after, limit } = c.req.valid("query");
    const from = cursor === undefined ? after : Number(cursor);
    const input = { callId: c.req.valid("param").id, after: from, limit };
    return c.json(await c.var.desk("callEvents", input), 200);
  })
  .openapi(transcript, async (c) => {
    const { id: callId } = c.req.valid("param");
    const { format = wantsText(c.req.header("accept")) ? "text" : "json" } = c.req.valid("query");
    c.header("Vary", "Accept", { append: true });
    if (format === "text") return c.text(await c.var.desk("callTranscriptText", callId), 200);
    return c.json(await c.var.desk("callTranscript", callId), 200);
  })
  .openapi(analysis, async (c) => {
    const found = await c.var.desk("callAnalysis", c.req.valid("param").id);
    return c.json(found as z.infer<typeof Analysis>, 200); // what `analyse` has made of it
  })
  .openapi(hangUp, async (c) => {
    await c.var.desk("hangUpCall", c.req.valid("param").id);
    return c.body(null, 204);
  })
  .openapi(say, async (c) => {
    const command = { type: "say", ...c.req.valid("json") } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(
    listen,
    async (c) => c.json(await c.var.desk("listenToCall", c.req.valid("param").id), 201),
  )
  .openapi(addContext, async (c) => {
    const command = { type: "addContext", ...c.req.valid("json") } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(mute, async (c) => {
    const command = { type: "mute" } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(unmute, async (c) => {
    const command = { type: "unmute" } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(dtmf, async (c) => {
    const command = { type: "pressKeys", keys: c.req.valid("json").digits } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(pauseRecording, async (c) => {
    const command = { type: "pauseRecording" } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(resumeRecording, async (c) => {
    const command = { type: "resumeRecording" } as const;
    await c.var.desk("controlCall", { callId: c.req.valid("param").id, command });
    return c.body(null, 204);
  })
  .openapi(transfer, async (c) => {
    const { id: callId } = c.req.valid("param");
    await c.var.desk("transferCall", { callId, ...c.req.valid("json") });
    return c.body(null, 204);
  })
  .openapi(stream, async (c) => {
    const { "last-event-id": lastEventId } = c.req.valid("header");
    const after = lastEventId === undefined ? c.req.valid("query").after : Number(lastEventId);
    const events = await c.var.watchCall(c.req.valid("param").id, after);
    return c.body(events, 200, STREAM_HEADERS);
  });
