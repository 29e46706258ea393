/** API keys: their form, and that a mistyped one is told without a database. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { KEY_PATTERN, keyHash, newKey, readKey } from "@/lib/api_keys.ts";
import { isSameHash } from "@/lib/pepper.ts";
import { Secret } from "@/lib/secret.ts";

const SEED = { seed: 20260105 };
const kind = fc.constantFrom("live" as const, "oper" as const);
const bytes = fc.uint8Array({ minLength: 40, maxLength: 40 });

/** A key of these random bytes. */
function keyOf(kind: "live" | "oper", random: Uint8Array): string {
  return newKey(kind, (count) => count === 8 ? random.subarray(0, 8) : random.subarray(8));
}
const key = fc.tuple(kind, bytes).map(([kind, bytes]) => keyOf(kind, bytes));

Deno.test("a key is written as documented, digit by digit", () => {
  const none = keyOf("live", new Uint8Array(40));
  assert.equal(none.slice(0, -6), `rm_live_${"0".repeat(11)}_${"0".repeat(43)}_`);
  const full = keyOf("oper", new Uint8Array(40).fill(255));
  // 2^64 - 1 and 2^256 - 1 in base62
  assert.match(full, /^rm_oper_LygHa16AHYF_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1_.{6}$/);
});

Deno.test("a key is read back, and found in a text by the pattern for scanners", () => {
  fc.assert(
    fc.property(key, fc.constantFrom(" ", '"', "\n", "=", "/", ""), (key, edge) => {
      const [, kind, publicId] = key.split("_");
      assert.deepEqual(readKey(key), { kind, publicId });
      assert.equal(KEY_PATTERN.exec(`API_KEY${edge || ":"}${key}${edge}`)?.[0], key);
    }),
    SEED,
  );
});

Deno.test("a key with any one character changed, dropped or doubled is none", () => {
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_- ";
  const one = keyOf("live", crypto.getRandomValues(new Uint8Array(40)));
  for (let at = 0; at < one.length; at++) {
    const [before, after] = [one.slice(0, at), one.slice(at + 1)];
    for (const other of alphabet) {
      if (other !== one[at]) assert.equal(readKey(before + other + after), null);
    }
    assert.equal(readKey(before + after), null);
    assert.equal(readKey(before + one[at] + one[at] + after), null);
  }
});

Deno.test("a key with two of its characters in each other's place is none", () => {
  fc.assert(
    fc.property(key, fc.nat(70), fc.nat(70), (key, one, other) => {
      const letters = [...key];
      [letters[one], letters[other]] = [letters[other] ?? "", letters[one] ?? ""];
      const swapped = letters.join("");
      fc.pre(swapped !== key);
      assert.equal(readKey(swapped), null);
    }),
    { ...SEED, numRuns: 5_000 },
  );
});

Deno.test("what is no key is none, whatever it is", () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => readKey(text) === null), SEED);
  const good = newKey("live");
  for (const none of ["", "rm_live_", `${good} `, ` ${good}`, `${good}\n`, good.toUpperCase()]) {
    assert.equal(readKey(none), null, none);
  }
});

Deno.test("two keys share neither public id nor secret", () => {
  const keys = Array.from({ length: 1_000 }, () => newKey("live").split("_"));
  assert.equal(new Set(keys.map((parts) => parts[2])).size, 1_000);
  assert.equal(new Set(keys.map((parts) => parts[3])).size, 1_000);
});

Deno.test("a key's hash is that of the whole key under this pepper", () => {
  const [pepper, other] = [new Secret("a".repeat(32)), new Secret("b".repeat(32))];
  const [one, two] = [newKey("live"), newKey("live")];
  assert.ok(isSameHash(keyHash(pepper, one), keyHash(pepper, one)));
  assert.ok(!isSameHash(keyHash(pepper, one), keyHash(pepper, two)));
  assert.ok(!isSameHash(keyHash(pepper, one), keyHash(other, one)));
});
