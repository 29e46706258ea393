/**
 * Texts of all kinds go through the API: stored and returned equal, or refused. `UNICODE_TEXTS` says how
 * many of the corpus (2,000 in full), which a seed makes.
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { embeddedTestDatabase } from "@/tests/support/database.ts";
import { wholeApi } from "@/tests/support/whole_api.ts";

const TEXTS = Number(Deno.env.get("UNICODE_TEXTS") ?? 150);
const SEED = 20_260_105;

const kit = await embeddedTestDatabase();

const pick = (...parts: readonly string[]) =>
  fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 30 }).map((some) => some.join(""));

const corpus = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  pick("\ud800", "\udfff", "a", "😀", "\ud83d"), // halves of pairs among whole ones
  pick("\u202e", "\u2066", "\u2069", "\u200f", "שלום", "مرحبا", "abc"), // direction
  pick("\u200b", "\u200d", "\u2060", "\ufeff", "x"), // no width
  pick("é", "e\u0301", "Å", "A\u030a", "ﬁ", "①", "가", "\u1100\u1161"), // normal forms
  pick("👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "👍🏽", "1️⃣"),
  pick("\0", "\u0001", "\u007f", "\u0085", "\u2028", "\n", "\ufffe", "\uffff", "b"),
  pick("'", '"', "\\", "--", "%", "_", ";", "$1", "${x}", "{{name}}", "<b>", "\\u0000"),
  fc.integer({ min: 1, max: 10_000 }).map((count) => `a${"\u0301".repeat(count)}`),
  pick("\u{10ffff}", "\u{1f600}", "\u{e0041}", "𝒜", "ẞ", "ß", "İ", "ı"),
);

Deno.test("a text is stored and returned equal, or refused with its field, wherever it is sent", async () => {
  const database = await kit.open();
  const api = await wholeApi(database);
  const counts = { kept: 0, refused: 0 };

  async function send(method: string, path: string, name: string): Promise<void> {
    const what = `${method} ${path} ${JSON.stringify(name).slice(0, 200)}`;
    const answer = await api.ask(path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ name }),
    });
    const told = await answer.json();
    if (answer.status === 400) {
      counts.refused++;
      return assert.equal(told.field, "name", what);
    }
    counts.kept++;
    assert.ok(answer.status === 200 || answer.status === 201, `${answer.status} to ${what}`);
    assert.equal(told.name, name.trim(), what);
    const at = method === "POST" ? `${path}/${told.id}` : path;
    const read = await (await api.ask(at)).json();
    assert.equal(read.name, name.trim(), what);
  }

  try {
    for (const text of fc.sample(corpus, { numRuns: TEXTS, seed: SEED })) {
      await send("PATCH", "/api/v1/tenant", text);
      await send("POST", "/api/v1/agents", text);
    }
  } finally {
    await api.close();
    await database.close();
  }
  assert.ok(counts.kept > TEXTS / 2 && counts.refused > TEXTS / 10, JSON.stringify(counts));
});
