/** Whether words that answer "is that all right?" are a yes or a no. What is neither is no consent. */

interface Answers {
  /** Words of a yes that has a word of a no in it; they are looked for first. */
  readonly yesPhrases: readonly string[];
  readonly yes: readonly string[];
  readonly no: readonly string[];
}

/** By language, in lower case and without apostrophes. */
const ANSWERS: Readonly<Record<string, Answers>> = {
  en: {
    yesPhrases: words("no problem|not a problem|i dont mind|dont mind|no objection|no objections"),
    yes: words(
      "yes|yeah|yep|yup|sure|ok|okay|fine|alright|all right|of course|certainly|absolutely|go ahead|i agree|i consent",
    ),
    no: words(
      "no|nope|nah|not|dont|do not|wont|cant|never|refuse|rather not|stop|disagree|object",
    ),
  },
  de: {
    yesPhrases: words("kein problem|nichts dagegen|keine einwände"),
    yes: words(
      "ja|jawohl|klar|gerne|gern|okay|ok|in ordnung|einverstanden|natürlich|sicher|selbstverständlich",
    ),
    no: words("nein|nee|nö|nicht|kein|keine|keinesfalls|lieber nicht|niemals|stopp"),
  },
  fr: {
    yesPhrases: words("pas de problème|aucun problème|pas d objection"),
    yes: words("oui|ouais|d accord|ok|okay|bien sûr|certainement|volontiers|j accepte"),
    no: words("non|pas|jamais|refuse|aucun|aucune"),
  },
  es: {
    yesPhrases: words("no hay problema|no me importa|sin problema|no tengo inconveniente"),
    yes: words("sí|si|claro|vale|ok|okay|de acuerdo|por supuesto|está bien|acepto"),
    no: words("no|nunca|tampoco|prefiero que no|rechazo"),
  },
  it: {
    yesPhrases: words("nessun problema|non c è problema"),
    yes: words("sì|si|certo|va bene|ok|okay|d accordo|certamente|accetto"),
    no: words("no|non|mai|rifiuto|nessun"),
  },
  nl: {
    yesPhrases: words("geen probleem|geen bezwaar"),
    yes: words("ja|jazeker|prima|oké|ok|okay|akkoord|natuurlijk|is goed"),
    no: words("nee|neen|niet|liever niet|geen|nooit"),
  },
  pt: {
    yesPhrases: words("sem problema|não há problema|não me importo"),
    yes: words("sim|claro|ok|okay|está bem|tudo bem|de acordo|concordo|aceito"),
    no: words("não|nunca|recuso|jamais"),
  },
};

/** Null: neither, or a language that is not known. A no counts before a yes. `language` is BCP 47. */
export function assentOf(text: string, language: string): "yes" | "no" | null {
  const answers = ANSWERS[language.split("-")[0]?.toLowerCase() ?? ""];
  if (answers === undefined) return null;
  const said = ` ${bare(text)} `;
  const rest = answers.yesPhrases.reduce((left, it) => left.replaceAll(` ${it} `, " "), said);
  const has = (phrases: readonly string[]) => phrases.some((it) => rest.includes(` ${it} `));
  if (has(answers.no)) return "no";
  return rest !== said || has(answers.yes) ? "yes" : null;
}

function bare(text: string): string {
  return text.toLowerCase()
    .replace(/(?<=n)['’](?=t\b)|(?<=\bi)['’](?=m\b)/g, "")
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

function words(list: string): readonly string[] {
  return list.split("|");
}
