/** `deno task call`: a simulated caller phones an agent, talks, and holds the transcript against what it heard. */

import { parseArgs } from "node:util";
import { DEMO_NUMBER } from "@/db/demo.ts";
import { AppError, messageOf } from "@/lib/errors.ts";
import { demoCaller } from "@/lib/workflow/demo.ts";
import { LEGS } from "@/lib/workflow/leg.ts";
import { printer } from "./call_printer.ts";
import { FROM } from "./dial.ts";
import {
  CALL_MAX_MS,
  ownServer,
  phone,
  type Phoned,
  type PhoneOptions,
  runningServer,
} from "./phone.ts";

const USAGE = `deno task call [--say TEXT]… [--agent ID] [--from E164] [--to E164]
               [--barge-in-at MS] [--leg stream|relay] [--url URL] [--json] [--wav FILE]

With no --say it plays the demo to its end. With no --url it starts a server of its own, on a
temporary database. --barge-in-at: the first line is said so long after the agent began to speak.`;

/** One object of figures, as `--json` prints it. */
function report(
  { callId, transcript, heard, transcriptMatches }: Phoned,
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
      leg: { type: "string" },
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
  const options: PhoneOptions = {
    lines: values.say ?? demoCaller,
    agentId: values.agent ?? null,
    from: values.from,
    to: values.to,
    bargeInAtMs,
    wavFile: values.wav ?? null,
    ...legOf(values.leg),
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

/** `relay`: the simulated carrier hears and speaks, and the socket carries text (docs/relay.md). */
function legOf(given: string | undefined): Pick<PhoneOptions, "leg"> {
  if (given === undefined) return {};
  const leg = LEGS.find((it) => it === given);
  if (leg !== undefined) return { leg };
  throw new AppError("invalid", "--leg takes stream or relay", { field: "--leg" });
}

main().then((isGood) => Deno.exit(isGood ? 0 : 1), (error) => {
  const text = error instanceof AppError || error instanceof TypeError ? messageOf(error) : error;
  Deno.stderr.writeSync(new TextEncoder().encode(`${text instanceof Error ? text.stack : text}\n`));
  Deno.exit(2);
});
