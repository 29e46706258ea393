/** The carrier's side of one ConversationRelay socket: hears and speaks by itself, a word after the other. */

import { z } from "zod";
import type { Cancel, Clock } from "@/lib/clock.ts";
import type { MessageSocket } from "@/lib/socket.ts";

/** A word takes so long to say, and to be said by the caller. */
export const WORD_MS = 300;

export interface RelayStreamOptions {
  /** Open. The stream says `setup` at once. */
  readonly socket: MessageSocket;
  readonly clock: Clock;
  readonly callSid: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** False: `events` were not asked for, or are not sent. */
  readonly tells?: boolean;
  /** Of the number called and the one that calls. */
  readonly numbers?: { readonly from: string; readonly to: string };
  readonly sessionId?: string;
  /** The socket is closed, whoever closed it. */
  ended?(): void;
}

export interface RelayStream {
  /** What the caller heard, word by word. */
  heard(): readonly string[];
  /** All that the server sent, as it came. */
  readonly received: readonly FromServer[];
  /** 64107: messages that are not of the protocol. */
  readonly refused: readonly string[];
  /** Speaks: interrupts where that is allowed, and is heard where it is. */
  say(text: string): void;
  press(digit: string): void;
  /** Reports an error, and goes on. */
  fault(description: string): void;
  /** The caller hangs up, or the line breaks: both look the same on this socket. */
  close(): void;
  closed(): readonly [number, string] | null;
}

// Strict: a message that does not conform is refused, as Twilio does since 2025.
const FromServer = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("text"),
    token: z.string(),
    last: z.boolean().optional(),
    lang: z.string().optional(),
    interruptible: z.boolean().optional(),
    preemptible: z.boolean().optional(),
  }),
  z.strictObject({
    type: z.literal("language"),
    ttsLanguage: z.string().regex(/^[a-z]{2,3}-[A-Z]{2}$/),
    transcriptionLanguage: z.string().regex(/^[a-z]{2,3}-[A-Z]{2}$/),
  }),
  z.strictObject({ type: z.literal("sendDigits"), digits: z.string().regex(/^[0-9w#*]+$/) }),
  z.strictObject({ type: z.literal("end"), handoffData: z.string().optional() }),
]);
type FromServer = z.infer<typeof FromServer>;

export function newRelayStream(options: RelayStreamOptions): RelayStream {
  const { socket, clock, callSid, parameters, tells = true } = options;
  const { from, to } = options.numbers ?? { from: "+15550199000", to: "+15550100100" };
  const heard: string[] = [];
  const received: FromServer[] = [];
  const refused: string[] = [];
  let waiting: string[] = []; // of this talk cycle, not played
  let played: string[] = []; // of this talk cycle
  let isLast = true; // the next text begins a talk cycle
  let isInterruptible = true;
  let isSpeaking = false;
  let closed: readonly [number, string] | null = null;
  let cancelWord: Cancel | null = null;
  const timers: Cancel[] = [];

  function send(message: Readonly<Record<string, unknown>>): void {
    if (closed === null) socket.send(JSON.stringify(message));
  }

  function tell(name: string, value: string): void {
    if (tells) send({ type: "info", name, value });
  }

  function speak(): void {
    if (cancelWord !== null || waiting.length === 0) return;
    if (!isSpeaking) tell("agentSpeaking", "on");
    isSpeaking = true;
    cancelWord = clock.timer(WORD_MS, () => {
      cancelWord = null;
      const word = waiting.shift();
      if (word === undefined) return;
      played.push(word);
      heard.push(word);
      tell("tokensPlayed", `${word} `);
      if (waiting.length > 0) speak();
      else fallSilent();
    });
  }

  function fallSilent(): void {
    cancelWord?.();
    cancelWord = null;
    waiting = [];
    if (isSpeaking) tell("agentSpeaking", "off");
    isSpeaking = false;
  }

  function take(message: FromServer): void {
    if (message.type === "end") return void timers.push(clock.timer(0, () => close(1000, "")));
    if (message.type !== "text") return;
    if (isLast) { // another talk cycle, which takes the place of one that may be pre-empted
      if (isSpeaking) fallSilent();
      played = [];
    }
    isLast = message.last ?? false;
    isInterruptible = message.interruptible ?? true;
    waiting.push(...message.token.split(/\s+/).filter((word) => word !== ""));
    speak();
  }

  function close(code: number, reason: string): void {
    if (closed !== null) return;
    closed = [code, reason];
    cancelWord?.();
    for (const cancel of timers) cancel();
    socket.close(code, reason);
    options.ended?.();
  }

  socket.listen({
    message(data) {
      const parsed = typeof data === "string" ? FromServer.safeParse(JSON.parse(data)) : null;
      if (!parsed?.success) return void refused.push(String(data));
      received.push(parsed.data);
      take(parsed.data);
    },
    closed(code, reason) {
      closed ??= [code, reason];
      cancelWord?.();
      for (const cancel of timers) cancel();
      options.ended?.();
    },
  });
  send({
    type: "setup",
    sessionId: options.sessionId ?? `VX${"0".repeat(32)}`,
    accountSid: `AC${"0".repeat(32)}`,
    parentCallSid: "",
    callSid,
    from,
    to,
    forwardedFrom: "",
    callType: "PSTN",
    callerName: "",
    direction: "inbound",
    callStatus: "RINGING",
    customParameters: parameters,
  });

  return {
    heard: () => [...heard],
    received,
    refused,
    say(text) {
      if (isSpeaking) {
        if (!isInterruptible) return; // not reported: reportInputDuringAgentSpeech is none
        const until = played.join(" ");
        fallSilent();
        send({
          type: "interrupt",
          utteranceUntilInterrupt: until,
          durationUntilInterruptMs: played.length * WORD_MS,
        });
      }
      const words = text.split(" ");
      words.forEach((_, at) => {
        const last = at === words.length - 1;
        const voicePrompt = words.slice(0, at + 1).join(" ");
        const prompt = { type: "prompt", voicePrompt, lang: "en-US", last };
        timers.push(clock.timer(at * WORD_MS, () => send(prompt)));
      });
    },
    press: (digit) => send({ type: "dtmf", digit }),
    fault: (description) => send({ type: "error", description }),
    close: () => close(1000, ""),
    closed: () => closed,
  };
}
