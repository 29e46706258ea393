/** A server of our own in a process of its own, so that a load does not slow what it measures. */

import { systemClock } from "@/lib/clock.ts";
import { readLocalSecrets } from "@/lib/local_secrets.ts";
import { newSid, startTwilio } from "@/tests/support/twilio.ts";
import type { Target } from "./phone.ts";

/** `main.ts start` on free ports and a temporary database; its carrier is the simulated one, here. */
export async function serverProcess(env: Readonly<Record<string, string>>): Promise<Target> {
  const authToken = crypto.randomUUID();
  const twilio = startTwilio({ clock: systemClock, accountSid: newSid("AC"), authToken });
  const dataDir = await Deno.makeTempDir({ prefix: "ringmaster_load_" });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", "main.ts", "start"],
    env: {
      LOG_LEVEL: "warn",
      ...env,
      PORT: "0",
      OPERATOR_PORT: "0",
      OPERATOR_TOKEN: crypto.randomUUID(),
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
  if (url === undefined) throw new Error("The server did not start");
  const secrets = await readLocalSecrets(dataDir);
  return {
    url,
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
