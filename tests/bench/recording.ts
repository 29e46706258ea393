/** What recording a call costs: `recording [--calls 300] [--seconds 60]`. Tapes, segments and files are real; no socket is. */

import { cpuUsage, memoryUsage } from "node:process";
import { parseArgs } from "node:util";
import { Tape, type TapePiece } from "@/actors/call/tape.ts";
import { recording, recordingKind } from "@/actors/recording/recording.ts";
import { newSystem } from "@/actors/runtime/system.ts";
import { FRAME_BYTES, FRAME_MS } from "@/lib/audio/frame.ts";
import { sleep, systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { fileStore } from "@/lib/providers/storage/files.ts";

const STEPS_PER_SECOND = 1_000 / FRAME_MS;
/** The agent speaks for half of the time, in utterances of two seconds. */
const TURN_STEPS = 2 * STEPS_PER_SECOND;
/** In the middle of a segment. */
const MEASURED_S = 23;
const DONE_MS = 10;
/** A second of the line takes so long: what came of it is written meanwhile, as it would be. */
const WRITTEN_MS = 100;

/** CPU of a call-second in microseconds, files included; memory of a call in the middle of its fifth segment. */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      calls: { type: "string", default: "300" },
      seconds: { type: "string", default: "60" },
    },
  });
  const calls = Number(values.calls);
  const seconds = Number(values.seconds);
  const dir = await Deno.makeTempDir();
  const objects = fileStore(dir);
  const system = newSystem({ clock: systemClock, log: silentLog });
  let closed = 0;
  const before = memoryOf();
  const lines = Array.from({ length: calls }, (_, nth) => {
    const ref = system.spawn(recordingKind, `recording ${nth}`, () =>
      recording({
        call: { send: () => true },
        open: () => Promise.resolve({ prefix: `recordings/${nth}/`, objects, earlier: null }),
        close: () => Promise.resolve(++closed > 0),
        log: silentLog,
      }));
    const give = (piece: TapePiece): void => void ref.send({ type: "piece", piece });
    return { ref, tape: new Tape({ originMs: 0, now: 0, isPaused: false, give }) };
  });
  const frame = new Uint8Array(FRAME_BYTES).fill(0x55);
  const cpu = cpuUsage();
  let bytesPerCall = 0;
  for (let step = 0; step < seconds * STEPS_PER_SECOND; step++) {
    const now = (step + 1) * FRAME_MS;
    const isSpeaking = Math.floor(step / TURN_STEPS) % 2 === 0;
    for (const { tape } of lines) {
      tape.caller(frame, { now, atMs: now - FRAME_MS, earliestMs: FRAME_MS });
      if (isSpeaking) tape.agent(frame, now);
    }
    if (step === MEASURED_S * STEPS_PER_SECOND) bytesPerCall = (memoryOf() - before) / calls;
    if (step % STEPS_PER_SECOND === 0) await sleep(systemClock, WRITTEN_MS);
  }
  for (const { tape, ref } of lines) {
    tape.end(seconds * 1_000);
    ref.send({ type: "stop" });
  }
  while (closed < calls) await sleep(systemClock, DONE_MS);
  const { user, system: kernel } = cpuUsage(cpu);
  await system.shutdown();
  await Deno.remove(dir, { recursive: true });
  const callSeconds = calls * seconds;
  const perCallSecond = (user + kernel) / callSeconds;
  return {
    calls,
    callSeconds,
    cpuMicrosPerCallSecond: Math.round(perCallSecond),
    corePercentAt300Calls: Math.round(perCallSecond * 300 / 10_000 * 10) / 10,
    kbPerCall: Math.round(bytesPerCall / 1024),
    bytesWritten: callSeconds * 16_000,
  };
}

function memoryOf(): number {
  const { heapUsed, external, arrayBuffers } = memoryUsage();
  return heapUsed + Math.max(external, arrayBuffers);
}
