/** Clauses: nothing is lost, the first comes early, numbers stay whole. */

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  addText,
  CLAUSE_MAX_CHARS,
  FIRST_CLAUSE_CHARS,
  flushStalled,
  lastClause,
  noClauses,
} from "@/actors/call/clauses.ts";

/** All clauses of a text that comes in as these tokens; the last may be what is left at the end. */
function clausesOf(tokens: readonly string[]): string[] {
  let clauses = noClauses;
  const out: string[] = [];
  for (const token of tokens) {
    const [next, complete] = addText(clauses, token);
    clauses = next;
    out.push(...complete);
  }
  const last = lastClause(clauses);
  return last === null ? out : [...out, last];
}

/** Those that were given out before the end of the text. */
function early(text: string): readonly string[] {
  return addText(noClauses, text)[1];
}

/** Behind a stop of Chinese or Japanese a space makes no difference. */
function withoutGaps(text: string): string {
  return text.replaceAll(/([。！？、，]) /g, "$1");
}

const piece = fc.oneof(
  fc.constantFrom(
    " ",
    "\n",
    ". ",
    ", ",
    "! ",
    "3.50",
    "9:30",
    "e.g.",
    "—",
    "。",
    "你好",
    "\t",
    "?",
    ";",
  ),
  fc.string({ unit: "grapheme", maxLength: 12 }),
);

Deno.test("clauses joined by spaces are the text with its white space collapsed, for any tokens", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 80 }), (tokens) => {
      const clauses = clausesOf(tokens);
      const text = tokens.join("").replace(/\s+/g, " ").trim();
      assert.equal(withoutGaps(clauses.join(" ")), withoutGaps(text));
      for (const clause of clauses) {
        assert.notEqual(clause, "");
        assert.equal(clause, clause.trim());
      }
    }),
    { seed: 4, numRuns: 3_000 },
  );
});

Deno.test("clauses are the same however the text is cut into tokens", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (tokens) => {
      const text = tokens.join("");
      assert.deepEqual(clausesOf(tokens), clausesOf([text]));
      assert.deepEqual(clausesOf([...text]), clausesOf([text]));
    }),
    { seed: 4, numRuns: 1_000 },
  );
});

const SPLITS: readonly (readonly [string, readonly string[]])[] = [
  ["Thank you, Maria Lopez, and ", ["Thank you, Maria Lopez,"]],
  ["Well, that is fine, of course, sir, and ", ["Well, that is fine,"]], // the first: at a comma
  ["Yes. Of course, we can, on Monday. And ", ["Yes.", "Of course, we can, on Monday."]],
  ["Really? Great! So: ", ["Really?", "Great!", "So:"]],
  ["It costs 3.50 euro, at 9:30, e.g.now ", ["It costs 3.50 euro,"]],
  ["Wait — what ", []], // four letters are no clause
  ["Good morning — what ", ["Good morning —"]],
  ["Please ask Dr. Smith now. And ", ["Please ask Dr. Smith now."]],
  ["Ask J. R. Smith. And ", ["Ask J. R. Smith."]],
  ["Das geht, z. B. heute. Und ", ["Das geht, z. B. heute."]],
  ["Am 5. Mai geht es. Und ", ["Am 5. Mai geht es."]],
  ["1. Eggs\n2. Milk. Then ", ["1. Eggs 2. Milk."]],
  ["It costs 3.50. And ", ["It costs 3.50."]],
  ["So am I. And ", ["So am I."]],
  ["Hm… let ", ["Hm…"]],
  ["It costs 3.", []], // the next token may be a digit
  ["It costs 3.\n", ["It costs 3."]],
];

Deno.test("clauses end where a voice would pause", () => {
  for (const [text, expected] of SPLITS) assert.deepEqual(early(text), expected, text);
});

Deno.test("clauses end at the stops of Chinese and Japanese, behind which no space comes", () => {
  assert.deepEqual(early("你好。请问您叫什么名字？我"), ["你好。", "请问您叫什么名字？"]);
  assert.deepEqual(early("はい、ありがとうございます。それでは"), ["はい、ありがとうございます。"]);
  assert.deepEqual(early("かしこまりました、少々お待ち"), ["かしこまりました、"]);
});

Deno.test("the first clause comes at its first comma past a few letters", () => {
  const head = "a".repeat(FIRST_CLAUSE_CHARS - 1);
  assert.deepEqual(early(`${head}, and more `), [`${head},`]);
  assert.deepEqual(early(`${head.slice(2)}, and more `), []);
});

Deno.test("text without any punctuation is flushed at a space", () => {
  const text = "word ".repeat(200);
  const clauses = early(text);
  assert.ok(clauses.length >= 5);
  for (const clause of clauses) assert.ok(clause.length <= CLAUSE_MAX_CHARS + "word ".length);
});

Deno.test("clauses of a long text take time in proportion to it", () => {
  // Each token looks at what is pending: a bound on that is a bound on the whole.
  let clauses = noClauses;
  for (let at = 0; at < 20_000; at++) {
    [clauses] = addText(clauses, "wort ");
    assert.ok(clauses.pending.length <= CLAUSE_MAX_CHARS + "wort ".length);
  }
});

Deno.test("a text of spaces has no clause", () => {
  assert.deepEqual(clausesOf([" ", "\n", ""]), []);
});

Deno.test("a model that stalls anywhere costs no word, and none is said twice", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(piece, fc.boolean()), { maxLength: 80 }), (tokens) => {
      let clauses = noClauses;
      const out: string[] = [];
      for (const [token, stalls] of tokens) {
        const [next, complete] = addText(clauses, token);
        out.push(...complete);
        clauses = next;
        const flushed = stalls ? flushStalled(clauses) : null;
        if (flushed === null) continue;
        clauses = flushed[0];
        out.push(flushed[1]);
      }
      const text = tokens.map(([token]) => token).join("").replace(/\s+/g, " ").trim();
      const said = [...out, lastClause(clauses) ?? ""].join(" ").trim();
      assert.equal(withoutGaps(said), withoutGaps(text));
    }),
  );
});

const STALLED: readonly (readonly [string, string | null, string])[] = [
  ["I can help you with", "I can help you", "with"],
  ["I can help you with ", "I can help you with", ""],
  ["I can hel", null, ""],
  ["Yes of", null, ""],
  ["That would cost you 20", "That would cost you", "20"],
  ["That would cost 20 ", "That would cost", "20 "], // euros, maybe
  ["That would cost you 20 eu", "That would cost you", "20 eu"],
  ["The number of it is 4711 and then", "The number of it is 4711 and", "then"],
  ["Please call for Dr. Smith", "Please call for", "Dr. Smith"],
  ["That is exactly € 20", "That is exactly", "€ 20"],
];

for (const [pending, clause, rest] of STALLED) {
  Deno.test(`a model that stalls behind "${pending}" has said: ${clause}`, () => {
    const flushed = flushStalled(addText(noClauses, pending)[0]);
    assert.deepEqual(
      flushed && [flushed[1], flushed[0].pending],
      clause === null ? null : [clause, rest],
    );
  });
}
