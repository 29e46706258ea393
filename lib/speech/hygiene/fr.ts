/** How French says figures and signs. */

import { toCardinal, toOrdinal } from "n2words/fr-FR";
import type { SpokenLanguage } from "./language.ts";

export const french: SpokenLanguage = {
  decimalMark: ",",
  groupMarks: " .",
  dayFirst: true,
  months: [
    ..."janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
      .split("|"),
  ],
  cardinal: (plain) => toCardinal(plain),
  ordinal: (value) => toOrdinal(value),
  counting: (plain) => toCardinal(plain),
  year: (value) => toCardinal(value),
  date({ day, month, year }) {
    const said = `${day === 1 ? "premier" : toCardinal(day)} ${french.months[month - 1] ?? ""}`;
    return year === null ? said : `${said} ${toCardinal(year)}`;
  },
  time(hour, minute) {
    const hours = hour === 1 ? "une heure" : `${feminine(toCardinal(hour))} heures`;
    return minute === 0 ? hours : `${hours} ${toCardinal(minute)}`;
  },
  signs: {
    "%": "pour cent",
    "&": "et",
    "+": "plus",
    "=": "égale",
    "@": "arobase",
    "€": "euros",
    "$": "dollars",
    "£": "livres",
    "°": "degrés",
    ".": "point",
    "/": "slash",
    "-": "tiret",
    "_": "tiret bas",
    "×": "fois",
  },
  range: "à",
  number: "numéro",
  currencies: {
    USD: ["dollar", "dollars", "cent", "cents"],
    EUR: ["euro", "euros", "centime", "centimes"],
    GBP: ["livre", "livres", "penny", "pence"],
    CHF: ["franc", "francs", "centime", "centimes"],
  },
  currencyJoint: " et ",
  largeJoint: " de ",
  abbreviations: {
    "M.": "Monsieur",
    "Mme": "Madame",
    "Mlle": "Mademoiselle",
    "Dr": "Docteur",
    "Dr.": "Docteur",
    "Pr.": "Professeur",
    "p. ex.": "par exemple",
    "p.ex.": "par exemple",
    "c.-à-d.": "c'est-à-dire",
    "etc.": "et cetera",
    "env.": "environ",
    "RDV": "rendez-vous",
    "rdv": "rendez-vous",
    "av.": "avenue",
    "bd": "boulevard",
    "tél.": "téléphone",
    "n°": "numéro",
  },
  units: {
    kg: ["kilogramme", "kilogrammes"],
    g: ["gramme", "grammes"],
    km: ["kilomètre", "kilomètres"],
    "km/h": ["kilomètre heure", "kilomètres heure"],
    m: ["mètre", "mètres"],
    cm: ["centimètre", "centimètres"],
    mm: ["millimètre", "millimètres"],
    ml: ["millilitre", "millilitres"],
    mg: ["milligramme", "milligrammes"],
    "°C": ["degré Celsius", "degrés Celsius"],
    min: ["minute", "minutes"],
  },
  ordinals: "(\\d+)(?:ers?|res?|ères?|es?|[èe]mes?)",
  hourMark: "h",
  large: "mille|millions?|milliards?",
};

/** Hours are feminine: "vingt et une heures". */
function feminine(said: string): string {
  return said.endsWith(" un") ? `${said}e` : said;
}
