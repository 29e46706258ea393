/** Twilio's webhooks: a call rings, its stream has ended, its state has changed. */

import { type Context, Hono, type MiddlewareHandler } from "hono";
import { z } from "zod";
import type { CallAnswer, Wait } from "@/actors/desk/desk.ts";
import type { Webhook } from "@/actors/gate/carrier_door.ts";
import type { NumberOwner } from "@/actors/gate/gate.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { uuidOf } from "@/lib/ids.ts";
import { CARRIER_ANSWERERS } from "@/lib/providers/carrier/detection.ts";
import { toCallProgress, TWILIO_CALL_STATUSES } from "@/lib/providers/carrier/progress.ts";
import { isWebhookSigned, type SignedRequest } from "@/lib/providers/carrier/signature.ts";
import { twiml, type Verb } from "@/lib/providers/carrier/twiml.ts";
import { CARRIER_CALL_HEADER } from "@/lib/providers/livekit/rooms.ts";
import { HOUSE_LANGUAGE } from "@/lib/workflow/graph.ts";
import { LEGS } from "@/lib/workflow/leg.ts";
import { lineOf } from "@/lib/workflow/phrases.ts";
import { visiting } from "./authenticated.ts";
import { check, readForm, readText } from "./body.ts";
import { type AppDeps, ASK_MS } from "./deps.ts";
import { passOn } from "./draining.ts";
import type { Env } from "./env.ts";
import { answerProblem } from "./errors.ts";

/** What a caller hears when no agent can be reached. */
export const SENTENCES = {
  unknownNumber: "Sorry, this number is not in service.",
  unknownAgent: "Sorry, nobody is here to take this call.",
  notConfigured: "Sorry, this line is not set up yet.",
  busy: "Sorry, all our lines are busy. Please call again later.",
  unreachable: "Sorry, nobody could be reached. Please call again later.",
  failed: "Sorry, something went wrong. Please call again later.",
} as const;

/** A number, or for a caller `anonymous`, a SIP address or a client's name. */
const PARTY_MAX = 256;
const Party = z.string().min(1).max(PARTY_MAX);
const Form = z.object({
  CallSid: z.string().regex(/^CA[0-9a-f]{32}$/),
  From: Party,
  To: Party,
  /** `inbound`, `outbound-api`, `outbound-dial`. */
  Direction: z.string().max(32).default("inbound"),
});
/** `Digits`: the key that a caller who waits has pressed. */
const Voice = Form.extend({ Digits: z.string().max(32).optional() });
/**
 * `DialCallStatus` is there when a number that we had dialed for the caller is done. `SessionId`: of a relay,
 * whose socket does not say that the caller has hung up; `CallStatus` does.
 */
const Resume = Form.extend({
  DialCallStatus: z.string().max(32).optional(),
  CallStatus: z.string().max(32).optional(),
  SessionId: z.string().max(64).optional(),
});
/** How often the carrier was told to ask again, since there was no answer. */
const Again = z.coerce.number().int().min(0).max(99).default(0);
const ResumeQuery = z.strictObject({ again: Again });
const Status = Form.extend({
  CallStatus: z.enum(TWILIO_CALL_STATUSES),
  /** When it happened, RFC 2822: it may be told a day later. */
  Timestamp: z.string().max(64).optional(),
});
/** It names neither number: https://www.twilio.com/docs/voice/answering-machine-detection */
const Judged = Form.pick({ CallSid: true }).extend({ AnsweredBy: z.enum(CARRIER_ANSWERERS) });
/** Of the house's account, whose callback names no number that would tell whose call it is. */
const JudgedQuery = z.strictObject({
  tenantId: z.string().refine((id) => uuidOf("tenant", id) !== null, "Not a tenant's id"),
});
const VoiceQuery = z.strictObject({
  agentId: z.string().refine((id) => uuidOf("agent", id) !== null, "Not an agent's id").optional(),
  /** Over what the call is held; absent: as its number or its agent says. */
  leg: z.enum(LEGS).optional(),
  /** Of a caller who waits for a line: since when, as we have told the carrier. */
  waitingSince: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  again: Again,
  /** In which they are told so, as we have told the carrier as well. */
  language: z.string().regex(/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$/).optional(),
});
/** As the offer says. */
const CALL_BACK_KEY = "1";
/** A call that goes on is worth so many questions: no more than its stream is waited for. */
export const AGAIN_MAX = 8;
/** And one that rings so many: its caller hears the ringing tone. */
export const RING_AGAIN_MAX = 3;
const PASSING: ReadonlySet<string> = new Set(
  ["unknown_outcome", "database_unavailable", "fenced"] satisfies ErrorCode[],
);
const PAUSE: Verb = { type: "pause", seconds: 1 };
/** A caller who waits asks again after so long. */
const WAIT_S = 4;
/** By a trunk of its own over SIP, or as a media stream. */
const LiveKitQuery = z.strictObject({ by: z.enum(["sip", "stream"]).default("sip") });
/** Values of `DialCallStatus`. */
const REACHED: ReadonlySet<string> = new Set(["completed", "answered"]);
/** A tenant's own account asks and tells under its id; the house's under none. */
const OWN = "/:tenantId{tenant_[0-9a-f-]+}";
const STATUS_PATHS = ["", OWN].flatMap((of) => [`${of}/status`, `${of}/calls/:callId/status`]);
const CallPath = z.object({
  callId: z.string().refine((id) => uuidOf("call", id) !== null, "Not a call's id"),
});

export function twilio(deps: AppDeps): Hono<Env> {
  const { publicUrl } = deps;

  /** The tenant whose number this is. Ours is the one called, or the one we call from. */
  async function ownerOf(
    c: Context<Env>,
    webhook: z.infer<typeof Form>,
    deadline: number,
  ): Promise<NumberOwner> {
    const field = ours(webhook.Direction);
    const number = webhook[field];
    const { signedBy } = c.var;
    const owner = signedBy !== null ? signedBy.owner : await deps.gate.ask<NumberOwner | null>(
      (reply) => ({ type: "numberOwner", number, reply }),
      { deadline },
    );
    if (owner === null) throw new AppError("not_found", "Nobody's number", { field });
    return owner;
  }

  /**
   * What the work answers; where that does not come for a reason that passes, the carrier is told to ask again, and
   * no caller is hung up for it. `isSilent`: before that it may do nothing, as to a call that rings and is not answered.
   */
  async function orAskedAgain(
    c: Context<Env>,
    { again, max, isSilent = false }: {
      readonly again: number;
      readonly max: number;
      readonly isSilent?: boolean;
    },
    work: (deadline: number) => Promise<Response>,
  ): Promise<Response> {
    const askedMs = deps.clock.now();
    try {
      return await work(askedMs + ASK_MS);
    } catch (error) {
      if (!(error instanceof AppError) || !PASSING.has(error.code) || again >= max) throw error;
      const { path } = c.req;
      deps.log.warn("no answer for a call in time: its carrier asks again", {
        ...{ path, again, error },
      });
      const query = new URLSearchParams({ ...c.req.query(), again: String(again + 1) });
      const isSoon = deps.clock.now() - askedMs < ASK_MS / 2;
      const url = `${publicUrl}${path}?${query}`;
      return speak(c, ...(isSoon && !isSilent ? [PAUSE] : []), { type: "redirect", url });
    }
  }

  return new Hono<Env>()
    .use(signed(deps))
    .use(passOn(deps))
    .on("POST", ["/voice", `${OWN}/voice`], async (c) => {
      const { CallSid, Digits, ...webhook } = readForm(c.var.signedForm, Voice);
      const { agentId, leg, waitingSince, language, again } = check(c.req.query(), VoiceQuery);
      const ringing = waitingSince === undefined;
      if (
        ringing &&
        deps.refusesCaller({ carrierCallId: CallSid, to: webhook[ours(webhook.Direction)] })
      ) {
        return speak(c, { type: "rejectBusy" });
      }
      return await orAskedAgain(c, { again, max: RING_AGAIN_MAX, isSilent: true }, ring);

      async function ring(deadline: number): Promise<Response> {
        const owner = await ownerOf(c, { CallSid, ...webhook }, deadline);
        const ring = {
          from: webhook.From,
          to: webhook.To,
          carrierCallId: CallSid,
          agentId: agentId ?? owner.agentId,
          account: c.var.signedBy === null ? "house" : "tenant",
          configVersion: owner.configVersion,
          whenFull: owner.whenFull,
          ...(ringing ? {} : { waitingSinceMs: waitingSince }),
          ...(leg === undefined ? {} : { leg }),
          ...(language === undefined ? {} : { language }),
        } as const;
        const desk = deps.desk(owner.tenantId);
        if (!ringing && Digits === CALL_BACK_KEY && owner.whenFull === "callback") {
          await desk.ask<void>((reply) => ({ type: "callBack", ring, reply }), { deadline });
          return speak(c, sayIn(language ?? HOUSE_LANGUAGE, "callBackWanted"), { type: "hangUp" });
        }
        const answer = await desk.ask<CallAnswer>(
          (reply) => ({ type: "ring", ring, reply }),
          { deadline },
        );
        const query = new URLSearchParams(c.req.query());
        const waitPath = (wait: Wait): string => {
          query.set("waitingSince", String(wait.sinceMs));
          query.set("language", wait.language);
          query.delete("again");
          return `${c.req.path}?${query}`;
        };
        const at = { publicUrl, resumePath: c.req.path, ringing, waitPath };
        const said = language === undefined ? {} : { language };
        return speak(c, ...toVerbs(answer, { ...at, ...said }));
      }
    })
    .on("POST", ["/livekit", `${OWN}/livekit`], visiting(deps), async (c) => {
      const { DialCallStatus: dialed, ...webhook } = readForm(c.var.signedForm, Resume);
      const { by } = check(c.req.query(), LiveKitQuery);
      if (dialed !== undefined) { // asked again, once the room has let go of the caller
        if (REACHED.has(dialed)) return speak(c, { type: "hangUp" });
        return speak(c, { type: "say", sentence: SENTENCES.unreachable }, { type: "hangUp" });
      }
      const owner = await ownerOf(c, webhook, deps.clock.now() + ASK_MS);
      const target = await c.var.gate("liveKitTarget", {
        ...{ owner, by, from: webhook.From, to: webhook.To, carrierCallId: webhook.CallSid },
        header: CARRIER_CALL_HEADER,
      });
      if (target.type === "stream") return speak(c, target, { type: "hangUp" });
      const actionUrl = `${publicUrl}${c.req.path}?by=sip`;
      return speak(c, { ...target, type: "dialSip", actionUrl });
    })
    .on("POST", ["/calls/:callId/resume", `${OWN}/calls/:callId/resume`], async (c) => {
      const { DialCallStatus: dialed, CallStatus, SessionId, ...webhook } = readForm(
        c.var.signedForm,
        Resume,
      );
      const { callId } = check(c.req.param(), CallPath);
      const { again } = check(c.req.query(), ResumeQuery);
      const isTold = dialed !== undefined; // asked again it would not be told how that came out
      return await orAskedAgain(c, { again, max: isTold ? 0 : AGAIN_MAX }, goOn);

      async function goOn(deadline: number): Promise<Response> {
        const { tenantId } = await ownerOf(c, webhook, deadline);
        const desk = deps.desk(tenantId);
        const { CallSid: carrierCallId } = webhook;
        if (SessionId !== undefined && CallStatus === "completed") {
          const report = { progress: "completed", at: null } as const;
          desk.send({ type: "progressed", callId, carrierCallId, report });
          return speak(c, { type: "hangUp" });
        }
        const answer = await desk.ask<CallAnswer>(
          (reply) => ({ type: "resume", callId, carrierCallId, reply }),
          { deadline },
        );
        const wasReached = dialed === undefined || REACHED.has(dialed);
        if (!wasReached && answer.type === "hangUp") {
          return speak(c, { type: "say", sentence: SENTENCES.unreachable }, answer);
        }
        return speak(c, ...toVerbs(answer, { publicUrl, resumePath: c.req.path, ringing: false }));
      }
    })
    .on("POST", STATUS_PATHS, async (c) => {
      const { CallSid, CallStatus, Timestamp, ...webhook } = readForm(c.var.signedForm, Status);
      const { callId = null } = check(c.req.param(), CallPath.partial());
      const owner = await ownerOf(c, { CallSid, ...webhook }, deps.clock.now() + ASK_MS);
      const report = { progress: toCallProgress(CallStatus), at: timeOf(Timestamp) };
      deps.desk(owner.tenantId).send({
        type: "progressed",
        callId,
        carrierCallId: CallSid,
        report,
      });
      return c.body(null, 204);
    })
    .on("POST", ["/calls/:callId/answered-by", `${OWN}/calls/:callId/answered-by`], (c) => {
      const { CallSid: carrierCallId, AnsweredBy: by } = readForm(c.var.signedForm, Judged);
      const { callId } = check(c.req.param(), CallPath);
      const { tenantId } = c.var.signedBy ?? check(c.req.query(), JudgedQuery);
      deps.desk(tenantId).send({ type: "carrierJudged", callId, carrierCallId, by });
      return c.body(null, 204);
    })
    .onError((error, c) => apologise(deps, error, c));
}

/** Null for what is no time. */
function timeOf(rfc2822: string | undefined): Date | null {
  const ms = Date.parse(rfc2822 ?? "");
  return Number.isNaN(ms) ? null : new Date(ms);
}

/** Lets a webhook pass whose signature holds over its raw form and the URL as Twilio sees it. */
function signed(deps: AppDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const { pathname, search } = new URL(c.req.url); // no character of our paths is re-encoded
    const body = await readText(c);
    const request = {
      url: `${deps.publicUrl}${pathname}${search}`,
      signature: c.req.header("x-twilio-signature") ?? "",
      body,
    };
    const tenantId = /^\/twilio\/(tenant_[^/]{1,64})\//.exec(pathname)?.[1];
    if (tenantId === undefined) {
      signedByHouse(deps, request);
      c.set("signedBy", null);
    } else {
      c.set("signedBy", { tenantId, owner: await signedByTenant(deps, { tenantId, ...request }) });
    }
    c.set("signedForm", new URLSearchParams(body));
    c.set("signedBody", body);
    await next();
  };
}

function signedByHouse(
  { twilioAuthToken }: AppDeps,
  request: SignedRequest & { readonly body: string },
): void {
  if (twilioAuthToken === null) {
    throw new AppError("not_configured", "Webhooks are off", { field: "TWILIO_AUTH_TOKEN" });
  }
  if (!isWebhookSigned(twilioAuthToken, request)) {
    throw new AppError("forbidden", "Wrong signature", { field: "X-Twilio-Signature" });
  }
}

/** The gate knows the tenant's token, and tells whose the number is in the same breath. */
function signedByTenant(
  { gate }: AppDeps,
  request: Omit<Webhook, "number">,
): Promise<NumberOwner | null> {
  const form = new URLSearchParams(request.body);
  const number = form.get(ours(form.get("Direction") ?? ""))?.slice(0, PARTY_MAX) ?? "";
  return gate.ask<NumberOwner | null>(
    (reply) => ({ type: "webhook", webhook: { ...request, number }, reply }),
    { timeoutMs: ASK_MS },
  );
}

/** Which of the two numbers is ours: the one called, or the one we call from. */
function ours(direction: string): "From" | "To" {
  return direction.startsWith("outbound") ? "From" : "To";
}

/**
 * A caller never hears a status code: what is not the sender's own mistake is said in a sentence.
 * A callback nobody listens to gets the same document, which Twilio ignores.
 */
function apologise({ log }: AppDeps, error: Error, c: Context<Env>): Response {
  const fields = { requestId: c.var.requestId, carrierCallId: c.var.signedForm?.get("CallSid") };
  if (!(error instanceof AppError)) {
    log.error("webhook crashed", { ...fields, error });
    return speak(c, { type: "say", sentence: SENTENCES.failed }, { type: "hangUp" });
  }
  log.warn("webhook refused", { ...fields, code: error.code, field: error.field, error });
  if (["invalid", "forbidden", "too_large"].includes(error.code)) return answerProblem(c, error);
  return speak(c, { type: "say", sentence: sentenceFor(error) }, { type: "hangUp" });
}

function sentenceFor({ code, field }: AppError): string {
  if (code === "not_found") {
    return field === "agentId" ? SENTENCES.unknownAgent : SENTENCES.unknownNumber;
  }
  if (code === "tenant_suspended") return SENTENCES.unknownNumber;
  if (code === "not_configured") return SENTENCES.notConfigured;
  if (code === "busy" || code === "draining" || code === "mailbox_full") return SENTENCES.busy;
  return SENTENCES.failed;
}

/** Only a ringing call can be given the busy tone; one that was answered is told in words. */
function toVerbs(
  answer: CallAnswer,
  { publicUrl, resumePath, ringing, waitPath = () => resumePath, language = HOUSE_LANGUAGE }: {
    readonly publicUrl: string;
    /** Of this request: where the carrier asks again. */
    readonly resumePath: string;
    readonly ringing: boolean;
    /** Where a caller asks who waits since then. */
    readonly waitPath?: (wait: Wait) => string;
    /** Of a caller who has waited. */
    readonly language?: string;
  },
): Verb[] {
  switch (answer.type) {
    case "connect": {
      const resumeUrl = `${publicUrl}${answer.resumePath}`;
      const streamUrl = `${publicUrl.replace(/^http/, "ws")}${answer.mediaPath}`;
      const parameters = { token: answer.token };
      return [
        {
          ...{ type: "connect", actionUrl: resumeUrl, streamUrl, parameters },
          ...(answer.relay === undefined ? {} : { relay: answer.relay }),
        },
        { type: "redirect", url: resumeUrl },
      ];
    }
    case "busy":
      if (ringing) return [{ type: "rejectBusy" }];
      return [sayIn(language, "busy"), { type: "hangUp" }];
    case "wait":
      return toHold(answer, publicUrl + waitPath(answer));
    case "refused":
      return [{ type: "say", sentence: answer.sentence }, { type: "hangUp" }];
    case "transfer": // the carrier tells at the resume URL how that came out
      return [{ type: "dial", to: answer.to, actionUrl: publicUrl + resumePath }];
    case "hangUp":
      return [{ type: "hangUp" }];
  }
}

/** Waits, and asks again; who may be called back is told so, and heard, meanwhile. */
function toHold(
  { position, isTold, mayBeCalledBack, language }: Wait,
  url: string,
): Verb[] {
  const { voice, next, place: nth, callBackOffered } = lineOf(language);
  const place = position === 1 ? next : nth(position);
  const again = { type: "redirect", url } as const;
  if (mayBeCalledBack) {
    const sentence = isTold ? `${place} ${callBackOffered}` : null;
    return [{ type: "gatherKey", sentence, voice, seconds: WAIT_S, actionUrl: url }, again];
  }
  const said = isTold ? [{ type: "say", sentence: place, voice } as const] : [];
  return [...said, { type: "pause", seconds: WAIT_S }, again];
}

/** One of the sentences of who waits. */
function sayIn(language: string, what: "busy" | "callBackWanted"): Verb {
  const sentences = lineOf(language);
  return { type: "say", sentence: sentences[what], voice: sentences.voice };
}

function speak(c: Context<Env>, ...verbs: readonly Verb[]): Response {
  return c.body(twiml(...verbs), 200, { "Content-Type": "text/xml; charset=utf-8" });
}
