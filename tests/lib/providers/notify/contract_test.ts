/** Every notifier keeps the one contract. */

import { systemClock } from "@/lib/clock.ts";
import { fileOutbox } from "@/lib/providers/notify/file.ts";
import { nowhere } from "@/lib/providers/notify/nowhere.ts";
import { smtp } from "@/lib/providers/notify/smtp.ts";
import { Secret } from "@/lib/secret.ts";
import { testNotifier } from "@/tests/support/contract_notifier.ts";
import { startSmtp } from "@/tests/support/smtp_server.ts";

const from = "Ringmaster <no-reply@example.com>";
const clock = systemClock;

testNotifier("the file outbox", async () => {
  const parent = await Deno.makeTempDir({ prefix: "ringmaster_mail_" });
  const dir = `${parent}/mail`;
  return {
    notifier: fileOutbox({ dir, from, clock }),
    async delivered() {
      try {
        const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
        return await Promise.all(names.map((name) => Deno.readTextFile(`${dir}/${name}`)));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return [];
        throw error;
      }
    },
    close: () => Deno.remove(parent, { recursive: true }),
  };
});

testNotifier("SMTP", () => {
  const server = startSmtp();
  return Promise.resolve({
    notifier: smtp({ url: new Secret(server.url), from, clock }),
    delivered: () => Promise.resolve(server.mails.map(({ data }) => data)),
    async close() {
      await server.allClosed();
      await server.close();
    },
  });
});

testNotifier(
  "nowhere",
  () => Promise.resolve({ notifier: nowhere(), delivered: null, close: () => Promise.resolve() }),
);
