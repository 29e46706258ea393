/** A server of our own in a process of its own, so that a load does not slow what it measures. */

import { systemClock } from "@/lib/clock.ts";
import { readLocalSecrets } from "@/lib/local_secrets.ts";
import { rssMbOf } from "@/tests/bench/calls/processes.ts";
import { newSid, startTwilio } from "@/tests/support/twilio.ts";
import type { Target } from "./phone.ts";

export interface ServerProcess extends Target {
  readonly operatorUrl: string;
  readonly operatorToken: string;
  rssMb(): number;
  /** What its main thread holds once all garbage is collected, which halts it for a moment. One at a time. */
  heldMb(): Promise<number>;
}

/** `main.ts start` on free ports and a temporary database, on one core if it is named; its carrier is the simulated one, here. */
export async function serverProcess(
  env: Readonly<Record<string, string>>,
  cpu: number | null = null,
): Promise<ServerProcess> {
  const authToken = crypto.randomUUID();
  const twilio = startTwilio({ clock: systemClock, accountSid: newSid("AC"), authToken });
  const dataDir = await Deno.makeTempDir({ prefix: "ringmaster_load_" });
  const operatorToken = crypto.randomUUID();
  const flags = ["--v8-flags=--expose-gc", "--preload", "tests/load/held.ts"];
  const command = [Deno.execPath(), "run", "-q", "-A", ...flags, "main.ts", "start"];
  const [program = "", ...args] = cpu === null ? command : ["taskset", "-c", `${cpu}`, ...command];
  const child = new Deno.Command(program, {
    args,
    env: {
      LOG_LEVEL: "warn",
      ...env,
      PORT: "0",
      OPERATOR_PORT: "0",
      OPERATOR_TOKEN: operatorToken,
      DATA_DIR: dataDir,
      DATABASE_URL: "",
      PUBLIC_URL: "",
      TWILIO_API_URL: twilio.url,
      TWILIO_ACCOUNT_SID: twilio.accountSid,
      TWILIO_AUTH_TOKEN: authToken,
    },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await lines.read(); // the one line that it prints
  const url = /at (http:\S+),/.exec(value)?.[1];
  const operatorUrl = /operators at ([^\s,]+)/.exec(value)?.[1];
  if (url === undefined || operatorUrl === undefined) throw new Error("The server did not start");
  const secrets = await readLocalSecrets(dataDir);
  return {
    url,
    operatorUrl,
    operatorToken,
    rssMb: () => rssMbOf(child.pid),
    async heldMb() {
      child.kill("SIGUSR2");
      const { value = "" } = await lines.read();
      const bytes = Number(/^held (\d+)$/m.exec(value)?.[1]);
      if (Number.isNaN(bytes)) throw new Error(`The server printed "${value}"`);
      return bytes / 2 ** 20;
    },
    carrierToken: authToken,
    apiKey: secrets?.demoKey.reveal() ?? "",
    twilio,
    async close() {
      child.kill("SIGTERM");
      await child.status;
      await lines.cancel();
      await twilio.close();
      await Deno.remove(dataDir, { recursive: true });
    },
  };
}
