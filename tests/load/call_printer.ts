/** How a simulated call is shown: a line for each turn as it happens, or one JSON line at its end. */

import type { CallEvent } from "@/actors/call/events.ts";
import { type GapParts, PARTS } from "@/actors/call/gap.ts";

export interface Printer {
  usage(text: string): void;
  begin(call: { readonly from: string; readonly to: string }): void;
  event(event: CallEvent): void;
  end(result: Ended): void;
  json(report: unknown): void;
}

export interface Ended {
  readonly callId: string | null;
  readonly ending: string;
  readonly transcript: {
    readonly outcome: string | null;
    readonly reason: string | null;
    readonly variables: Readonly<Record<string, unknown>>;
    readonly events: readonly CallEvent[];
  } | null;
  readonly heard: readonly string[];
  readonly transcriptMatches: boolean;
}

/** With `isJson`, nothing but the report goes out. */
export function printer(isJson: boolean): Printer {
  const say = (text: string): void => {
    if (!isJson) write(text);
  };
  return {
    usage: write,
    begin: ({ from, to }) => say(`${from} calls ${to}\n`),
    event(event) {
      switch (event.type) {
        case "caller_said":
          return say(`  caller  ${event.text}`);
        case "agent_said": {
          const cut = event.bargedIn ? ` ✂ not heard: ${event.unheard}` : "";
          say(`  agent   ${event.text}${cut}`);
          if (event.gapMs !== null && event.parts !== null) {
            say(`          ${event.gapMs} ms of silence before it: ${partsOf(event.parts)}`);
          }
          return;
        }
        case "failed":
          return say(`  !       ${event.part}: ${event.message}`);
        default:
          return;
      }
    },
    end({ callId, ending, transcript, heard, transcriptMatches }) {
      if (transcript === null) return say(`Not connected: ${ending}`);
      say(`\nEnded by ${ending}. Outcome: ${transcript.outcome} (${transcript.reason}).`);
      for (const [name, value] of Object.entries(transcript.variables)) {
        say(`  ${name}: ${String(value)}`);
      }
      const words = heard.join(" ").split(" ").filter((word) => word !== "").length;
      const verdict = transcriptMatches
        ? `is, word by word, the ${words} words that the caller heard`
        : "is NOT what the caller heard";
      say(`The transcript stored as ${callId} ${verdict}.`);
    },
    json(report) {
      if (isJson) write(JSON.stringify(report));
    },
  };
}

function partsOf(parts: GapParts): string {
  return PARTS.filter((part) => parts[part] !== 0).map((part) => `${part} ${parts[part]}`)
    .join(" + ");
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}
