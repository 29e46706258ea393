/** A caller who pauses now and then within a turn, so that an eager agent guesses wrong; at virtual time. */

import type { CallEvent } from "@/actors/call/events.ts";
import { BYTES_PER_MS } from "@/lib/audio/frame.ts";
import { speak } from "@/lib/audio/modem.ts";
import { simulatedModel } from "@/lib/providers/llm/simulated.ts";
import { simulatedStt } from "@/lib/providers/stt/simulated.ts";
import { simulatedTts } from "@/lib/providers/tts/simulated.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import { actorKit, prng } from "./actor_kit.ts";
import { callKit } from "./call_kit.ts";

/** As measured elsewhere: Flux' end of a turn, and Twilio's targets for a model and a voice (2025). */
const END_OF_TURN_MS = 260;
const EAGER_MS = 100;
const FIRST_TOKEN_MS = 375;
const FIRST_BYTE_MS = 100;
const STT_LATENCY_MS = 30;
/** Longer than the guess takes, shorter than the end of a turn. */
const PAUSE_MS = 170;
const REPLY = "Yes, we are open all day.";
/** No turn takes longer: the caller's words, the gap and the reply. */
const TURN_MS = 12_000;

export interface PausingOptions {
  readonly seed: number;
  readonly turns: number;
  readonly isEager: boolean;
  /** Of the turns, those with a pause in the middle. */
  readonly pauseShare: number;
  /** Whether the machine is hard pressed, by how many turns there have been. */
  readonly isPressed?: (turn: number) => boolean;
}

export interface PausingResult {
  /** What the caller heard of silence before each answer. */
  readonly gapsMs: readonly number[];
  readonly callerTurns: number;
  /** Functions called. Every reply calls one: more than turns would be the work of a wrong guess. */
  readonly functionsCalled: number;
  readonly wastedReplies: number;
  readonly wastedTokens: number;
  readonly events: readonly CallEvent[];
}

/** One call of so many turns. */
export async function runPausing(options: PausingOptions): Promise<PausingResult> {
  const { seed, turns, isEager, pauseShare } = options;
  const random = prng(seed);
  const kit = actorKit({ seed });
  const { clock } = kit;
  let turnsSaid = 0;
  const called = { name: "look_up", arguments: "{}" }; // there is none such: the model is told so, and goes on
  const { call, connect, events, close } = callKit({
    kit,
    graph: {
      ...demoAgent,
      limits: { ...demoAgent.limits, idleMs: 60_000, maxDurationMs: 4 * 3_600_000 },
      turns: {
        ...demoAgent.turns,
        endpointing: "provider",
        isEager,
        silenceMs: END_OF_TURN_MS - STT_LATENCY_MS,
        eagerTokensMax: 1_000_000,
      },
    },
    deps: {
      isPressed: () => options.isPressed?.(turnsSaid) ?? false,
      stt: simulatedStt({
        clock,
        latencyMs: STT_LATENCY_MS,
        eagerMs: EAGER_MS - STT_LATENCY_MS,
      }),
      llm: simulatedModel({
        clock,
        firstTokenMs: FIRST_TOKEN_MS,
        tokenMs: 15,
        script: ({ messages }) =>
          messages.at(-1)?.role === "caller" ? { text: REPLY, toolCalls: [called] } : { text: "" },
      }),
      tts: simulatedTts({ clock, firstByteMs: FIRST_BYTE_MS }),
    },
  });
  const stream = await connect();
  const say = async (text: string): Promise<void> => {
    const { audio } = speak(text);
    void stream.say(audio);
    await clock.advance(audio.length / BYTES_PER_MS);
  };
  await clock.advance(TURN_MS); // the greeting
  for (let turn = 0; turn < turns; turn++) {
    turnsSaid = turn;
    await say("Are you open");
    if (random() < pauseShare) {
      await clock.advance(PAUSE_MS);
      await say("on Monday");
    }
    await clock.advance(TURN_MS);
  }
  const { wasted } = Object(kit.system.inspect("call", call.id)?.view);
  stream.stop();
  await close();
  return {
    gapsMs: events.flatMap((it) =>
      it.type === "agent_said" && it.gapMs !== null && it.text !== "" ? [it.gapMs] : []
    ),
    callerTurns: events.filter((it) => it.type === "caller_said").length,
    functionsCalled: events.filter((it) => it.type === "tool_called").length,
    wastedReplies: wasted.replies,
    wastedTokens: wasted.tokens,
    events,
  };
}
