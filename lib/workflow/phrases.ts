/** Sentences of the house, by language, for agents that bring none of their own. */

const FILLERS: Readonly<Record<string, readonly string[]>> = {
  en: ["One moment, please.", "I am still on it, one more moment."],
  de: ["Einen Moment, bitte.", "Ich bin noch dran, einen Moment noch."],
  fr: ["Un instant, s'il vous plaît.", "Je suis toujours dessus, encore un instant."],
  es: ["Un momento, por favor.", "Sigo en ello, un momento más."],
  it: ["Un momento, per favore.", "Ci sto ancora lavorando, ancora un momento."],
  nl: ["Een moment, alstublieft.", "Ik ben nog bezig, nog een moment."],
  pt: ["Um momento, por favor.", "Ainda estou a tratar disso, só mais um momento."],
};

/** What to say while a reply takes long; none in a language that the house does not speak. `language` is BCP 47. */
export function fillersOf(language: string): readonly string[] {
  return FILLERS[language.split("-")[0]?.toLowerCase() ?? ""] ?? [];
}
