/** SMTP: what is said to the server, and what becomes of its refusals and its silence. */

import assert from "node:assert/strict";
import { smtp } from "@/lib/providers/notify/smtp.ts";
import { Secret } from "@/lib/secret.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";
import { type SmtpFault, startSmtp } from "@/tests/support/smtp_server.ts";

const MAIL = { to: "ada@example.com", subject: "Hello", text: "Hello Ada" };
const { signal } = new AbortController();

function setUp(fault: SmtpFault | null = null, login = "") {
  const clock = manualClock();
  const server = startSmtp(fault);
  const url = new Secret(server.url.replace("//", `//${login}`));
  const notifier = smtp({ url, from: "Ringmaster <no-reply@example.com>", clock });
  return { clock, server, notifier };
}

Deno.test("a mail is sent by EHLO, MAIL, RCPT, DATA and QUIT, from and to the bare addresses", async () => {
  const { server, notifier, clock } = setUp();
  await notifier.send(MAIL, signal);
  assert.deepEqual(server.commands.map((command) => command.replace(/ SIZE=\d+/, "")), [
    "EHLO example.com",
    "MAIL FROM:<no-reply@example.com>",
    "RCPT TO:<ada@example.com>",
    "DATA",
    "QUIT",
  ]);
  await server.allClosed();
  assert.equal(clock.armed, 0);
  await server.close();
});

Deno.test("a user and password of the URL are decoded and shown to the server", async () => {
  const { server, notifier } = setUp(null, "mailer%40example.com:p%3Aass@");
  await notifier.send(MAIL, signal);
  const plain = btoa("\0mailer@example.com\0p:ass");
  assert.equal(server.commands[1], `AUTH PLAIN ${plain}`);
  await server.close();
});

const REFUSALS: readonly [fault: SmtpFault, status: number | undefined, isRetryable: boolean][] = [
  [{ at: "connect", answer: "554 no service" }, 554, false],
  [{ at: "MAIL", answer: "451 later" }, 451, true],
  [{ at: "RCPT", answer: "550 no such user ada@example.com" }, 550, false],
  [{ at: "DATA", answer: "452 full" }, 452, true],
  [{ at: "end of data", answer: "550 spam" }, 550, false],
  [{ at: "end of data", answer: "drop" }, undefined, true],
  [{ at: "RCPT", answer: "drop" }, undefined, true],
  [{ at: "MAIL", answer: "what?" }, undefined, true],
];

for (const [fault, status, retryable] of REFUSALS) {
  Deno.test(`"${fault.answer}" at ${fault.at} is provider_failed, without the address in it`, async () => {
    const { server, notifier, clock } = setUp(fault);
    const error = await notifier.send(MAIL, signal).then(() => null, (thrown) => thrown);
    const { code, message } = error;
    assert.deepEqual([code, error.status, error.retryable], ["provider_failed", status, retryable]);
    assert.doesNotMatch(message, /ada/);
    await server.allClosed();
    assert.equal(clock.armed, 0);
    await server.close();
  });
}

/** Lets a conversation over real sockets come to where it hangs. */
async function reached(server: ReturnType<typeof startSmtp>, command: string): Promise<void> {
  const { settle } = manualClock();
  while (!server.commands.some((said) => said.startsWith(command))) await settle();
}

Deno.test("a server that falls silent is left after 30 s", async () => {
  const { server, notifier, clock } = setUp({ at: "RCPT", answer: null });
  const sent = assert.rejects(notifier.send(MAIL, signal), {
    code: "provider_failed",
    message: "smtp: no answer in 30000 ms",
  });
  await reached(server, "RCPT");
  await clock.advance(30_000);
  await sent;
  await server.allClosed();
  await server.close();
});

Deno.test("a mail that nobody waits for any more ends its connection", async () => {
  const { server, notifier } = setUp({ at: "RCPT", answer: null });
  const abort = new AbortController();
  const reason = new Error("nobody waits");
  const sent = assert.rejects(notifier.send(MAIL, abort.signal), reason);
  await reached(server, "RCPT");
  abort.abort(reason);
  await sent;
  await server.allClosed();
  await server.close();
});

Deno.test("a server that is not there is provider_failed", async () => {
  const { server, notifier } = setUp();
  await server.close();
  await assert.rejects(notifier.send(MAIL, signal), { code: "provider_failed", retryable: true });
});
