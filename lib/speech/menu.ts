/** Reads a menu that another company's machine speaks ("for sales, press one") into keys to choose from. */

export interface MenuOption {
  /** One key: 0 to 9, `*` or `#`. */
  readonly key: string;
  /** What it is for, as it was said. */
  readonly label: string;
}

/** No menu that a caller is meant to remember has more. */
const OPTIONS_MAX = 12;

const KEYS: Readonly<Record<string, string>> = {
  zero: "0",
  one: "1",
  two: "2",
  three: "3",
  four: "4",
  five: "5",
  six: "6",
  seven: "7",
  eight: "8",
  nine: "9",
  star: "*",
  asterisk: "*",
  pound: "#",
  hash: "#",
  null: "0",
  eins: "1",
  ein: "1",
  zwei: "2",
  drei: "3",
  vier: "4",
  fünf: "5",
  sechs: "6",
  sieben: "7",
  acht: "8",
  neun: "9",
  stern: "*",
  raute: "#",
  zéro: "0",
  un: "1",
  deux: "2",
  trois: "3",
  quatre: "4",
  cinq: "5",
  sept: "7",
  huit: "8",
  neuf: "9",
  étoile: "*",
  dièse: "#",
  cero: "0",
  uno: "1",
  dos: "2",
  tres: "3",
  cuatro: "4",
  cinco: "5",
  seis: "6",
  siete: "7",
  ocho: "8",
  nueve: "9",
  asterisco: "*",
  almohadilla: "#",
};

const KEY = `(\\d(?!\\d)|[*#]|${Object.keys(KEYS).join("|")}|six)(?![\\p{L}\\d])`;
const ARTICLE =
  "(?:(?:bitte|please|the|die|la|le|el|number|digit|key|taste|touche|tecla|nummer|ziffer|número) )*";

interface Phrasing {
  /** "For sales, press one": the label is group 1, the key group 2. */
  readonly labelFirst: RegExp;
  /** "Press one for sales": the key is group 1, the label group 2. */
  readonly keyFirst: RegExp;
}

const PHRASINGS: Readonly<Record<string, Phrasing>> = {
  en: phrasing("for|to", "press|dial|say|enter|push"),
  de: phrasing("für|um|bei", "drücken sie|wählen sie|drücke|wähle|sagen sie"),
  fr: phrasing("pour", "appuyez sur|tapez|composez|faites|dites"),
  es: phrasing("para|si desea", "pulse|presione|marque|oprima|diga"),
};

/** The keys that were offered, in their order; none for words that are no menu, or of a language not known. */
export function readMenu(text: string, language: string): readonly MenuOption[] {
  const phrasing = PHRASINGS[language.slice(0, 2).toLowerCase()];
  if (phrasing === undefined) return [];
  const said = text.normalize("NFC").replace(/\s+/gu, " ");
  const labelled = read(said, phrasing.labelFirst, 1, 2);
  const keyed = read(said, phrasing.keyFirst, 2, 1);
  // A menu is of one kind; of the other only what lies between two options looks like one.
  return labelled.length >= keyed.length ? labelled : keyed;
}

function phrasing(purpose: string, press: string): Phrasing {
  const label = "([^.;!?]{1,80}?)";
  return {
    labelFirst: new RegExp(
      `(?<!\\p{L})(?:${purpose}) ${label},? (?:please |bitte )?(?:${press}),? ${ARTICLE}${KEY}`,
      "giu",
    ),
    keyFirst: new RegExp(
      `(?<!\\p{L})(?:${press}),? ${ARTICLE}${KEY},? (?:${purpose}) ${label}` +
        `(?=[.,;!?]|$| (?:or|oder|ou|o|and|und|et|y) )`,
      "giu",
    ),
  };
}

function read(text: string, pattern: RegExp, labelAt: number, keyAt: number): MenuOption[] {
  const options = new Map<string, MenuOption>();
  for (const found of text.matchAll(pattern)) {
    const word = (found[keyAt] ?? "").toLowerCase();
    const key = KEYS[word] ?? (word === "six" ? "6" : word);
    const label = (found[labelAt] ?? "").replace(/,$/, "").trim();
    if (!options.has(key) && options.size < OPTIONS_MAX) options.set(key, { key, label });
  }
  return [...options.values()];
}
