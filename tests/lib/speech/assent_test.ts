/** Yes, no or neither: what is not a yes is no consent. */

import assert from "node:assert/strict";
import { assentOf } from "@/lib/speech/assent.ts";

const CASES: Readonly<Record<string, readonly [string, "yes" | "no" | null][]>> = {
  "en-US": [
    ["Yes.", "yes"],
    ["Yeah, that's fine.", "yes"],
    ["Sure, go ahead", "yes"],
    ["No problem!", "yes"],
    ["I don't mind.", "yes"],
    ["No.", "no"],
    ["No, thank you.", "no"],
    ["I'd rather not.", "no"],
    ["I don’t want that", "no"],
    ["Yes, well, actually no.", "no"],
    ["That is not okay", "no"],
    ["What do you mean?", null],
    ["I know a dentist", null],
    ["(keyed 1)", null],
    ["", null],
  ],
  de: [
    ["Ja, gerne.", "yes"],
    ["Kein Problem.", "yes"],
    ["Nein, danke.", "no"],
    ["Lieber nicht", "no"],
  ],
  es: [["Sí, claro.", "yes"], ["No, gracias", "no"], ["No hay problema", "yes"]],
  fr: [["Oui, d'accord.", "yes"], ["Non merci", "no"], ["Pas de problème", "yes"]],
  it: [["Sì, va bene", "yes"], ["Preferisco di no", "no"]],
  nl: [["Ja, prima", "yes"], ["Liever niet", "no"]],
  pt: [["Sim, tudo bem", "yes"], ["Não, obrigado", "no"]],
  fi: [["Kyllä", null]],
};

for (const [language, cases] of Object.entries(CASES)) {
  for (const [text, wanted] of cases) {
    Deno.test(`in ${language} "${text}" is ${wanted ?? "neither yes nor no"}`, () => {
      assert.equal(assentOf(text, language), wanted);
    });
  }
}
