/** Passwords: how they are hashed, at what cost, and which may be chosen. */

import assert from "node:assert/strict";
import { newPasswords } from "@/lib/passwords.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const { signal } = new AbortController();
const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 };

Deno.test("a password is hashed by argon2id as OWASP asks, salted, and verified", async () => {
  const passwords = newPasswords();
  const one = await passwords.hash("correct horse", signal);
  const two = await passwords.hash("correct horse", signal);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
  assert.notEqual(one, two);
  const right = { isRight: true, isStale: false };
  assert.deepEqual(await passwords.verify("correct horse", one, signal), right);
  assert.deepEqual((await passwords.verify("correct horsf", one, signal)).isRight, false);
  passwords.close();
});

Deno.test("the same characters in another composition are the same password", async () => {
  const passwords = newPasswords({ cost: CHEAP });
  const hash = await passwords.hash("ange\u0301lique", signal);
  assert.equal((await passwords.verify("ang\u00e9lique", hash, signal)).isRight, true);
  passwords.close();
});

Deno.test("a hash of another cost still verifies, and is told to be stale", async () => {
  const before = newPasswords({ cost: CHEAP });
  const now = newPasswords({ cost: { ...CHEAP, passes: 2 } });
  const hash = await before.hash("correct horse", signal);
  const stale = { isRight: true, isStale: true };
  assert.deepEqual(await now.verify("correct horse", hash, signal), stale);
  const wrong = { isRight: false, isStale: false };
  assert.deepEqual(await now.verify("another one", hash, signal), wrong);
  before.close();
  now.close();
});

Deno.test("an account that is not there is never right, whatever is shown", async () => {
  const passwords = newPasswords({ cost: CHEAP });
  for (const password of ["a", "correct horse", "\0".repeat(32)]) {
    assert.equal((await passwords.verify(password, null, signal)).isRight, false);
  }
  passwords.close();
});

/** Turns of the event loop until `work` has settled. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  const { settle } = manualClock();
  let isDone = false;
  let turns = 0;
  void work.then(() => isDone = true);
  while (!isDone) {
    await settle(); // one turn
    turns++;
  }
  return turns;
}

Deno.test("the event loop turns on while 8 passwords are hashed", async () => {
  const passwords = newPasswords();
  await passwords.hash("the Workers are started before", signal);
  const hashes = Array.from({ length: 8 }, () => passwords.hash("correct horse", signal));
  const turns = await turnsDuring(Promise.all(hashes));
  assert(turns > 100, `${turns} turns`); // on the main loop there would be about one a hash
  passwords.close();
});

Deno.test("of more than 64 that wait the next is busy, and those who wait are served", async () => {
  const passwords = newPasswords({ cost: CHEAP, workers: 1 });
  const asked = Array.from({ length: 65 }, () => passwords.hash("correct horse", signal));
  await assert.rejects(passwords.hash("correct horse", signal), { code: "busy", retryable: true });
  assert.equal(new Set(await Promise.all(asked)).size, 65);
  passwords.close();
});

Deno.test("what nobody waits for any more is not hashed", async () => {
  const passwords = newPasswords({ cost: CHEAP, workers: 1 });
  const abort = new AbortController();
  const first = passwords.hash("correct horse", signal);
  const given = assert.rejects(passwords.hash("correct horse", abort.signal), { message: "gone" });
  const last = passwords.hash("correct horse", signal);
  abort.abort(new Error("gone"));
  await Promise.all([first, given, last]);
  passwords.close();
});

Deno.test("a hash that is none fails alone", async () => {
  const passwords = newPasswords({ cost: CHEAP, workers: 1 });
  await assert.rejects(passwords.verify("correct horse", "not a hash", signal), /Cannot hash/);
  assert.match(await passwords.hash("correct horse", signal), /^\$argon2id/);
  passwords.close();
});

Deno.test("who waits when passwords are closed is told so", async () => {
  const passwords = newPasswords({ workers: 1 });
  const asked = [passwords.hash("one two three", signal), passwords.hash("one two four", signal)];
  const told = asked.map((hash) => assert.rejects(hash, { code: "draining" }));
  passwords.close();
  await Promise.all(told);
  await assert.rejects(passwords.hash("one two five", signal), { code: "draining" });
});

/** Ten of them, and so on: each another character of two UTF-16 units. */
const HORSES = Array.from({ length: 129 }, (_, nth) => String.fromCodePoint(0x1F40E + nth));
const CHOICES: readonly [password: string, isTaken: boolean][] = [
  ["nine char", false],
  ["ten chars.", true],
  ["ten chars\u00e9", true],
  ["nine e\u0301xy", false], // nine characters once it is composed
  [HORSES.slice(0, 9).join(""), false],
  [HORSES.slice(0, 10).join(""), true],
  [HORSES.slice(0, 128).join(""), true],
  [HORSES.slice(0, 129).join(""), false],
  ["ada@example.com", false],
  ["ADA@example.com", false],
  ["PassWord123", false], // of the first that whoever guesses tries
  ["qwertyuiop", false],
  ["dragondragon", false],
  ["bababababababa", false],
  ["          ", false],
  ["password123 of mine", true],
  ["correct horse battery", true],
];

Deno.test("a new password is long enough, and not among the first that whoever guesses tries", async () => {
  const passwords = newPasswords({ cost: CHEAP });
  for (const [password, isTaken] of CHOICES) {
    const choice = { password, email: "ada@example.com", field: "newPassword" };
    const hashed = passwords.hashNew(choice, signal);
    if (isTaken) assert.match(await hashed, /^\$argon2id/, password);
    else await assert.rejects(hashed, { code: "invalid", field: "newPassword" }, password);
  }
  passwords.close();
});
