/** What the house says by itself, in every language that it speaks. */

import assert from "node:assert/strict";
import { fillersOf, lineOf, repeatOf, unheardOf } from "@/lib/workflow/phrases.ts";

const LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "pt"];

Deno.test("each language has every sentence, its own, and the line's a voice of that language", () => {
  const heard = new Set<string>();
  for (const language of LANGUAGES) {
    const { voice, next, place, callBackOffered, callBackWanted, busy } = lineOf(language);
    assert.equal(voice === null ? "en" : voice.split("-")[0], language);
    assert.ok(place(12).includes("12") && callBackOffered.includes("1"));
    const all = [
      ...[next, place(2), callBackOffered, callBackWanted, busy, repeatOf(language) ?? ""],
      ...[...fillersOf(language), ...unheardOf(language)],
    ];
    assert.equal(all.length, 10);
    for (const sentence of all) {
      assert.ok(sentence !== "" && !heard.has(sentence), sentence);
      heard.add(sentence);
    }
  }
});

Deno.test("a region does not matter; who waits in a language that the house does not speak hears English", () => {
  assert.equal(lineOf("DE-at"), lineOf("de"));
  assert.equal(lineOf("fi"), lineOf("en"));
  assert.equal(repeatOf("fi"), null);
});
