/** Logs: one JSON line an event, personal data only where it is allowed. */

import assert from "node:assert/strict";
import { AppError } from "@/lib/errors.ts";
import { type Level, newLog } from "@/lib/log.ts";

function setUp(level: Level, pii: boolean) {
  const lines: unknown[] = [];
  const log = newLog({
    level,
    pii,
    date: () => new Date("2026-01-05T09:00:00Z"),
    write: (line) => lines.push(JSON.parse(line)),
  });
  return { log, lines };
}

Deno.test("a line has its time, level, sentence and fields", () => {
  const { log, lines } = setUp("info", false);
  log.info("call ended", { callId: "call_1", turns: 3n });
  assert.deepEqual(lines, [{
    at: "2026-01-05T09:00:00.000Z",
    level: "info",
    message: "call ended",
    callId: "call_1",
    turns: "3",
  }]);
});

Deno.test("what is below the level is not written", () => {
  const { log, lines } = setUp("warn", false);
  log.debug("one");
  log.info("two");
  log.warn("three");
  log.error("four");
  assert.equal(lines.length, 2);
});

Deno.test("personal data is written only when it may be", () => {
  for (const pii of [false, true]) {
    const { log, lines } = setUp("info", pii);
    log.info("a call rings", { pii: { from: "+15550199000" } });
    assert.equal(JSON.stringify(lines).includes("+15550199000"), pii);
  }
});

Deno.test("a foreseen failure is told by its code and cause, a bug with its stack", () => {
  const { log, lines } = setUp("info", false);
  const cause = new TypeError("connection lost");
  log.warn("one", { error: new AppError("provider_failed", "No answer", { cause }) });
  const [line] = lines as { error: Record<string, Record<string, unknown>> }[];
  assert.equal(line?.error.code, "provider_failed");
  assert.equal("stack" in (line?.error ?? {}), false);
  assert.equal(line?.error.cause?.name, "TypeError");
  assert.match(String(line?.error.cause?.stack), /log_test/);
});
