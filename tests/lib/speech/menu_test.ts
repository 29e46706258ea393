/** Menus of other companies' machines: the keys they offer, by language. */

import assert from "node:assert/strict";
import { readMenu } from "@/lib/speech/menu.ts";

/** Language, what is said, and the options as `key label`. */
const ROWS: readonly (readonly [string, string, readonly string[]])[] = [
  [
    "en",
    "Thank you for calling. For sales, press one. For support, press 2. To repeat this menu, press star.",
    ["1 sales", "2 support", "* repeat this menu"],
  ],
  [
    "en",
    "Press 1 for billing, press 2 for technical support, or press zero to speak to an operator.",
    ["1 billing", "2 technical support", "0 speak to an operator"],
  ],
  ["en-GB", "for opening hours please press the hash key.", ["# opening hours"]],
  ["en", "Hello, this is Jane, who is calling?", []],
  ["en", "I will press for a decision to help you.", []],
  [
    "de",
    "Für den Verkauf drücken Sie die Eins. Für Fragen zu Ihrer Rechnung wählen Sie bitte die 2.",
    ["1 den Verkauf", "2 Fragen zu Ihrer Rechnung"],
  ],
  [
    "fr",
    "Pour le service commercial, tapez un. Pour toute autre demande, appuyez sur la touche dièse.",
    ["1 le service commercial", "# toute autre demande"],
  ],
  ["es", "Para ventas, pulse uno; para soporte, marque el dos.", ["1 ventas", "2 soporte"]],
  ["ja", "For sales, press one.", []],
];

for (const [language, text, options] of ROWS) {
  Deno.test(`menu (${language}): "${text}"`, () => {
    assert.deepEqual(readMenu(text, language).map(({ key, label }) => `${key} ${label}`), options);
  });
}

Deno.test("a menu is read in time in proportion to its length", () => {
  assert.deepEqual(readMenu("for ".repeat(5_000) + "press ".repeat(5_000), "en"), []);
});
