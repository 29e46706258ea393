/** What every notifier must do: take a mail whole, be abortable, and let nothing in a mail add a header. */

import assert from "node:assert/strict";
import type { Notifier } from "@/lib/providers/notify/notify.ts";

/** A notifier, and the raw mails that it has delivered; null where it keeps none. */
export interface Delivering {
  readonly notifier: Notifier;
  readonly delivered: (() => Promise<readonly string[]>) | null;
  close(): Promise<void>;
}

const MAIL = {
  to: "ada@example.com",
  subject: "Set a new password",
  text: "The code:\n\nabc-_123\n",
};
const { signal } = new AbortController();

export function testNotifier(name: string, make: () => Promise<Delivering>): void {
  function test(sentence: string, check: (delivering: Delivering) => Promise<void>): void {
    Deno.test(`${name} ${sentence}`, async () => {
      const delivering = await make();
      try {
        await check(delivering);
      } finally {
        await delivering.close();
      }
    });
  }

  test("delivers a mail whole", async ({ notifier, delivered }) => {
    await notifier.send(MAIL, signal);
    if (delivered === null) return;
    const [mail = "", ...more] = await delivered();
    assert.equal(more.length, 0);
    assert.match(mail, /^To: ada@example\.com\r$/m);
    assert.match(mail, /^From: Ringmaster <no-reply@example\.com>\r$/m);
    assert.match(mail, /^Subject: Set a new password\r$/m);
    assert.match(mail, /^abc-_123\r?$/m);
  });

  test("delivers two mails as two", async ({ notifier, delivered }) => {
    await Promise.all([notifier.send(MAIL, signal), notifier.send(MAIL, signal)]);
    if (delivered !== null) assert.equal((await delivered()).length, 2);
  });

  test("takes letters of all alphabets", async ({ notifier, delivered }) => {
    await notifier.send({ ...MAIL, subject: "Einladung für Łódź", text: "日本語" }, signal);
    if (delivered === null) return;
    const [mail = ""] = await delivered();
    assert.match(mail, /^Subject: =\?UTF-8\?[BQ]\?/m);
    assert(!mail.includes("Łódź"));
  });

  test("lets no line break in a subject become a header", async ({ notifier, delivered }) => {
    await notifier.send({ ...MAIL, subject: "Hello\r\nBcc: eve@example.com" }, signal);
    if (delivered === null) return;
    const [mail = ""] = await delivered();
    assert.doesNotMatch(mail, /^Bcc:/mi);
  });

  test("sends nothing when it was aborted before", async ({ notifier, delivered }) => {
    const reason = new Error("nobody waits");
    await assert.rejects(notifier.send(MAIL, AbortSignal.abort(reason)), reason);
    if (delivered !== null) assert.deepEqual(await delivered(), []);
  });
}
