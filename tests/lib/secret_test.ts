/** Secrets: shown to nobody who does not ask for them by name. */

import assert from "node:assert/strict";
import { inspect } from "node:util";
import { newLog } from "@/lib/log.ts";
import { Secret } from "@/lib/secret.ts";

Deno.test("a secret reveals its value", () => {
  assert.equal(new Secret("k-123").reveal(), "k-123");
});

Deno.test("a secret shows stars in text, JSON, inspection and logs, at any depth", () => {
  const secret = new Secret("k-123");
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  newLog({ level: "info", pii: true, date: () => new Date(0), write }).info("started", {
    key: secret,
    pii: { config: [{ secret }] },
  });
  const failed = new Error(`Refused ${secret}`, { cause: { secret } });
  newLog({ level: "info", pii: true, date: () => new Date(0), write }).error("failed", {
    error: new Error("Broke", { cause: failed }),
  });
  const shown = [
    `${secret}`,
    "" + secret,
    String([secret]),
    Deno.inspect(failed),
    inspect(failed),
    JSON.stringify({ secret }),
    inspect({ a: { b: { secret } } }),
  ];
  for (const text of [...shown, Deno.inspect([secret]), ...lines]) {
    assert.match(text, /\*\*\*/);
    assert.doesNotMatch(text, /k-123/);
  }
});
