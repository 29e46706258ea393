/** A link is of one recording, for a time, and made here. */

import assert from "node:assert/strict";
import { newId } from "@/lib/ids.ts";
import { readLink, type RecordingLink, signLink } from "@/lib/recording/link.ts";
import { Secret } from "@/lib/secret.ts";

const PEPPER = new Secret("a pepper of the tests, 32 characters");

function newLink(): RecordingLink {
  return {
    tenantId: newId("tenant"),
    recordingId: newId("recording"),
    expiresAt: new Date("2026-01-05T09:10:00Z"),
  };
}

Deno.test("a link is read as it was signed", () => {
  const link = newLink();
  assert.deepEqual(readLink(PEPPER, signLink(PEPPER, link)), link);
});

Deno.test("no part of it can be changed", () => {
  const [mine, other] = [newLink(), newLink()];
  const token = signLink(PEPPER, mine).split(".");
  const others = signLink(PEPPER, { ...other, expiresAt: new Date("2027-01-05T09:10:00Z") }).split(
    ".",
  );
  for (let part = 0; part < 4; part++) {
    const forged = token.with(part, others[part] ?? "").join(".");
    assert.equal(readLink(PEPPER, forged), null, `part ${part}`);
  }
  const text = token.join(".");
  for (let at = 0; at < text.length; at++) {
    const changed = text.slice(0, at) + (text[at] === "0" ? "1" : "0") + text.slice(at + 1);
    assert.equal(readLink(PEPPER, changed), null, changed);
  }
});

Deno.test("another house's link, and what is none, lead nowhere", () => {
  const another = new Secret("another pepper of tests, 32 chars");
  assert.equal(readLink(PEPPER, signLink(another, newLink())), null);
  for (const text of ["", ".", "...", "a.b.c.d", signLink(PEPPER, newLink()) + "x"]) {
    assert.equal(readLink(PEPPER, text), null, text);
  }
});
