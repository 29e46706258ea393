/** `deno task call`: a simulated caller phones an agent, talks, and holds the transcript against what it heard. */

import { parseArgs } from "node:util";
import type { CallEvent } from "@/actors/call/events.ts";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { SILENCE } from "@/lib/audio/frame.ts";
import { wav } from "@/lib/audio/wav.ts";
import { systemClock } from "@/lib/clock.ts";
import { environment, readConfig } from "@/lib/config.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { readLocalSecrets } from "@/lib/local_secrets.ts";
import { newLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { startServer } from "@/main.ts";
import { type Caller, newCaller } from "@/tests/support/caller.ts";
import { compareHeard, playedWords } from "@/tests/support/heard.ts";
import { newSid, placeInbound, startTwilio } from "@/tests/support/twilio.ts";
import type { FakeCall } from "@/tests/support/twilio_call.ts";
import { follow, type Transcript } from "./transcript.ts";
import { printer } from "./call_printer.ts";

const USAGE = `deno task call [--say TEXT]… [--agent ID] [--from E164] [--to E164]
               [--barge-in-at MS] [--url URL] [--json] [--wav FILE]

With no --say it plays the demo to its end. With no --url it starts a server of its own, on a
temporary database. --barge-in-at: the first line is said so long after the agent began to speak.`;

/** A call that goes on for longer is hung up by the caller. */
const CALL_MAX_MS = 180_000;
const FROM = "+15550199000";

interface Target {
  readonly url: string;
  readonly carrierToken: string;
  readonly operatorToken: string;
  /** Over which the server can hang up; null at a server that is not ours. */
  readonly twilio: ReturnType<typeof startTwilio> | null;
  close(): Promise<void>;
}

/** A server of our own, in this process, whose carrier is the simulated one. */
async function ownServer(): Promise<Target> {
  const settings = environment();
  const config = readConfig(settings);
  const authToken = crypto.randomUUID();
  const twilio = startTwilio({ clock: systemClock, accountSid: newSid("AC"), authToken });
  const server = await startServer({
    ...config,
    listen: { host: "127.0.0.1", port: 0 },
    operator: { host: "127.0.0.1", port: 0, token: null },
    publicUrl: null,
    database: { type: "embedded", dataDir: "" },
    twilio: {
      apiUrl: twilio.url,
      accountSid: twilio.accountSid,
      authToken: new Secret(authToken),
    },
  }, {
    isTemporary: true,
    log: newLog({
      level: settings.LOG_LEVEL ? config.log.level : "warn",
      pii: config.log.pii,
      date: () => systemClock.date(),
    }),
  });
  return {
    url: server.publicUrl,
    carrierToken: authToken,
    operatorToken: server.operatorToken,
    twilio,
    async close() {
      await server.stop();
      await twilio.close();
    },
  };
}

/** A server that runs already: its secrets are in our settings, or beside the database in DATA_DIR. */
async function runningServer(url: string): Promise<Target> {
  const config = readConfig(environment());
  const { database, twilio, operator } = config;
  const local = database.type === "embedded" ? await readLocalSecrets(database.dataDir) : null;
  const carrierToken = twilio.authToken ?? local?.carrierToken;
  const operatorToken = operator.token ?? local?.operatorToken;
  if (carrierToken === undefined || operatorToken === undefined) {
    const field = carrierToken === undefined ? "TWILIO_AUTH_TOKEN" : "OPERATOR_TOKEN";
    throw new AppError("not_configured", `Cannot call "${url}": set ${field} as it is there`, {
      field,
    });
  }
  return {
    url: url.replace(/\/+$/, ""),
    carrierToken: carrierToken.reveal(),
    operatorToken: operatorToken.reveal(),
    twilio: null,
    close: () => Promise.resolve(),
  };
}

interface Options {
  readonly lines: readonly string[];
  readonly agentId: string | null;
  readonly from: string;
  readonly to: string;
  readonly bargeInAtMs: number | null;
  readonly wavFile: string | null;
}

interface Result {
  readonly callId: string | null;
  readonly transcript: Transcript | null;
  readonly ending: string;
  /** What the caller heard of each of the agent's utterances. */
  readonly heard: readonly string[];
  readonly transcriptMatches: boolean;
}

/** Phones, talks, waits for the end, compares. */
async function phone(
  target: Target,
  options: Options,
  told: (event: CallEvent) => void,
): Promise<Result> {
  const { lines, agentId, from, to, bargeInAtMs } = options;
  const query = agentId === null ? "" : `?agentId=${encodeURIComponent(agentId)}`;
  let caller: Caller | null = null;
  const phoned = await placeInbound({
    webhookUrl: `${target.url}/twilio/voice${query}`,
    publicUrl: target.url,
    authToken: target.carrierToken,
    from,
    to,
    clock: systemClock,
    ...(target.twilio === null ? {} : { twilio: target.twilio }),
  });
  const { stream } = phoned;
  if (stream === null) {
    const { reason } = await phoned.ended;
    return { callId: null, transcript: null, ending: said(phoned, reason), heard: [], ...NO_MATCH };
  }
  caller = newCaller({
    clock: systemClock,
    stream,
    lines,
    hangUp: () => phoned.hangUp(),
    ...(bargeInAtMs === null ? {} : { bargeInAtMs }),
  });
  const cancel = systemClock.timer(CALL_MAX_MS, () => phoned.hangUp());
  const callId = callIdOf(phoned);
  const following = follow({ ...target, callId, clock: systemClock, told });
  const { by, reason } = await phoned.ended;
  cancel();
  caller.stop();
  const transcript = await following;

  const stored = transcript.events.filter((event) => event.type === "agent_said");
  const flights = stream.log.flatMap((entry) =>
    entry.type === "clear" ? [{ sentAtMs: -Infinity, actedAtMs: entry.atMs }] : []
  );
  const { extra, missing, missingInFlight, heard } = compareHeard(
    stored,
    playedWords(stream),
    flights,
  );
  const cuts = stored.filter((event) => event.bargedIn).length;
  const transcriptMatches = extra.length === 0 && missing.length === missingInFlight.length &&
    missing.length <= cuts && transcript.isComplete;
  if (options.wavFile !== null) {
    const spoken = callerAudio(caller, stream.startedAtMs, stream.player.played().length);
    await Deno.writeFile(options.wavFile, wav([spoken, stream.player.played()]));
  }
  return { callId, transcript, ending: `${by}: ${reason}`, heard, transcriptMatches };
}

const NO_MATCH = { transcriptMatches: false } as const;

/** What a caller who was not put through was told. */
function said(phoned: FakeCall, reason: string): string {
  const sentences = phoned.log.flatMap((entry) => entry.type === "said" ? [entry.sentence] : []);
  return [...sentences, reason].join(" ");
}

function callIdOf(phoned: FakeCall): string {
  const opened = phoned.log.find((entry) => entry.type === "streamOpened");
  const url = opened?.type === "streamOpened" ? opened.url : "";
  return new URL(url).pathname.split("/")[3] ?? "";
}

/** The caller's side of the recording, on the time line of what it heard. */
function callerAudio(caller: Caller, startedAtMs: number, bytes: number): Uint8Array {
  const audio = new Uint8Array(bytes).fill(SILENCE);
  for (const line of caller.lines) {
    const at = Math.max(0, Math.round((line.startedAtMs - startedAtMs) * 8));
    audio.set(line.audio.subarray(0, Math.max(0, bytes - at)), at);
  }
  return audio;
}

/** One object of figures, as `--json` prints it. */
function report(
  { callId, transcript, heard, transcriptMatches }: Result,
  lines: readonly string[],
) {
  let agentTurns = 0;
  let callerTurns = 0;
  const turns = (transcript?.events ?? []).flatMap((event) => {
    switch (event.type) {
      case "caller_said":
        return [{
          role: "caller",
          text: lines[callerTurns++] ?? event.text,
          heard: event.text,
          gapMs: null,
          parts: null,
        }];
      case "agent_said":
        return [{
          role: "agent",
          text: event.text,
          heard: heard[agentTurns++] ?? "",
          gapMs: event.gapMs,
          parts: event.parts,
        }];
      default:
        return [];
    }
  });
  return { callId, outcome: transcript?.outcome ?? null, turns, transcriptMatches };
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      say: { type: "string", multiple: true },
      agent: { type: "string" },
      from: { type: "string", default: FROM },
      to: { type: "string", default: DEMO_NUMBER },
      "barge-in-at": { type: "string" },
      url: { type: "string" },
      json: { type: "boolean", default: false },
      wav: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const print = printer(values.json);
  if (values.help) {
    print.usage(USAGE);
    return true;
  }
  const bargeInAtMs = values["barge-in-at"] === undefined ? null : Number(values["barge-in-at"]);
  if (bargeInAtMs !== null && !(bargeInAtMs >= 0 && bargeInAtMs < CALL_MAX_MS)) {
    throw new AppError("invalid", "--barge-in-at takes milliseconds", { field: "--barge-in-at" });
  }
  const options: Options = {
    lines: values.say ?? demoCaller,
    agentId: values.agent ?? null,
    from: values.from,
    to: values.to,
    bargeInAtMs,
    wavFile: values.wav ?? null,
  };
  const target = values.url === undefined ? await ownServer() : await runningServer(values.url);
  try {
    print.begin(options);
    const result = await phone(target, options, print.event);
    print.end(result);
    print.json(report(result, options.lines));
    return result.transcriptMatches;
  } finally {
    await target.close();
  }
}

main().then((isGood) => Deno.exit(isGood ? 0 : 1), (error) => {
  const text = error instanceof AppError || error instanceof TypeError ? messageOf(error) : error;
  Deno.stderr.writeSync(new TextEncoder().encode(`${text instanceof Error ? text.stack : text}\n`));
  Deno.exit(2);
});
