/** How German says figures and signs. */

import { toCardinal, toOrdinal } from "n2words/de-DE";
import type { SpokenLanguage } from "./language.ts";

/** Behind these an ordinal has no n: "der fünfte", but "am fünften". */
const NOMINATIVES = new Set(["der", "die", "das", "ist"]);

export const german: SpokenLanguage = {
  decimalMark: ",",
  groupMarks: ".",
  dayFirst: true,
  months: [
    ..."januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember"
      .split("|"),
  ],
  cardinal: (plain) => toCardinal(plain).replace(" komma ", " Komma "),
  ordinal: (value) => toOrdinal(value),
  counting: (plain) => plain === "1" ? "ein" : german.cardinal(plain),
  year,
  date({ day, month, year: of }, before) {
    const name = german.months[month - 1] ?? "";
    const ordinal = toOrdinal(day) + (NOMINATIVES.has(before) ? "" : "n");
    const said = `${ordinal} ${name.charAt(0).toUpperCase()}${name.slice(1)}`;
    return of === null ? said : `${said} ${year(of)}`;
  },
  time(hour, minute) {
    const said = `${german.counting(String(hour))} Uhr`;
    return minute === 0 ? said : `${said} ${toCardinal(minute)}`;
  },
  signs: {
    "%": "Prozent",
    "&": "und",
    "+": "plus",
    "=": "gleich",
    "@": "at",
    "€": "Euro",
    "$": "Dollar",
    "£": "Pfund",
    "°": "Grad",
    ".": "Punkt",
    "/": "Schrägstrich",
    "-": "Bindestrich",
    "_": "Unterstrich",
    "×": "mal",
  },
  range: "bis",
  number: "Nummer",
  currencies: {
    USD: ["Dollar", "Dollar", "Cent", "Cent"],
    EUR: ["Euro", "Euro", "Cent", "Cent"],
    GBP: ["Pfund", "Pfund", "Penny", "Pence"],
    CHF: ["Franken", "Franken", "Rappen", "Rappen"],
  },
  currencyJoint: " und ",
  largeJoint: " ",
  abbreviations: {
    "Dr.": "Doktor",
    "Hr.": "Herr",
    "Fr.": "Frau",
    "Prof.": "Professor",
    "z. B.": "zum Beispiel",
    "z.B.": "zum Beispiel",
    "d. h.": "das heißt",
    "d.h.": "das heißt",
    "u. a.": "unter anderem",
    "u.a.": "unter anderem",
    "bzw.": "beziehungsweise",
    "usw.": "und so weiter",
    "ca.": "circa",
    "inkl.": "inklusive",
    "zzgl.": "zuzüglich",
    "Nr.": "Nummer",
    "Str.": "Straße",
    "Tel.": "Telefon",
    "evtl.": "eventuell",
    "ggf.": "gegebenenfalls",
  },
  units: {
    kg: ["Kilogramm", "Kilogramm"],
    g: ["Gramm", "Gramm"],
    km: ["Kilometer", "Kilometer"],
    "km/h": ["Stundenkilometer", "Stundenkilometer"],
    m: ["Meter", "Meter"],
    cm: ["Zentimeter", "Zentimeter"],
    mm: ["Millimeter", "Millimeter"],
    ml: ["Milliliter", "Milliliter"],
    mg: ["Milligramm", "Milligramm"],
    "°C": ["Grad Celsius", "Grad Celsius"],
    Min: ["Minute", "Minuten"],
    Std: ["Stunde", "Stunden"],
  },
  ordinals: "(\\d+)(?:te[nrms]?)",
  hourMark: "Uhr",
  large: "Tausend|Millionen?|Milliarden?|Mio\\.|Mrd\\.",
};

/** 1984 is neunzehnhundertvierundachtzig. */
function year(value: number): string {
  const century = Math.floor(value / 100);
  const rest = value % 100;
  if (century < 11 || century > 19) return toCardinal(value);
  return `${toCardinal(century)}hundert${rest === 0 ? "" : toCardinal(rest)}`;
}
