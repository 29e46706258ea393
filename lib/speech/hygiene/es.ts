/** How Spanish says figures and signs. */

import { toCardinal, toOrdinal } from "n2words/es-ES";
import type { SpokenLanguage } from "./language.ts";

export const spanish: SpokenLanguage = {
  decimalMark: ",",
  groupMarks: ".",
  dayFirst: true,
  months: [
    ..."enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
      .split("|"),
  ],
  cardinal: (plain) => toCardinal(plain).replace(" punto ", " coma "),
  ordinal: (value, written) =>
    written.includes("ª") ? toOrdinal(value).replace(/o\b/g, "a") : toOrdinal(value),
  counting: (plain) => beforeNoun(spanish.cardinal(plain)),
  year: (value) => toCardinal(value),
  date({ day, month, year }) {
    const said = `${day === 1 ? "primero" : toCardinal(day)} de ${spanish.months[month - 1] ?? ""}`;
    return year === null ? said : `${said} de ${toCardinal(year)}`;
  },
  time(hour, minute) {
    const said = toCardinal(hour).replace(/uno$/, "una");
    return minute === 0 ? `${said} en punto` : `${said} y ${toCardinal(minute)}`;
  },
  signs: {
    "%": "por ciento",
    "&": "y",
    "+": "más",
    "=": "igual a",
    "@": "arroba",
    "€": "euros",
    "$": "dólares",
    "£": "libras",
    "°": "grados",
    ".": "punto",
    "/": "barra",
    "-": "guion",
    "_": "guion bajo",
    "×": "por",
  },
  range: "a",
  number: "número",
  currencies: {
    USD: ["dólar", "dólares", "centavo", "centavos"],
    EUR: ["euro", "euros", "céntimo", "céntimos"],
    GBP: ["libra", "libras", "penique", "peniques"],
    CHF: ["franco", "francos", "céntimo", "céntimos"],
  },
  currencyJoint: " con ",
  largeJoint: " de ",
  abbreviations: {
    "Sr.": "señor",
    "Sra.": "señora",
    "Srta.": "señorita",
    "Dr.": "doctor",
    "Dra.": "doctora",
    "Ud.": "usted",
    "Uds.": "ustedes",
    "p. ej.": "por ejemplo",
    "p.ej.": "por ejemplo",
    "etc.": "etcétera",
    "aprox.": "aproximadamente",
    "Avda.": "avenida",
    "tel.": "teléfono",
    "núm.": "número",
    "n.º": "número",
    "a.m.": "de la mañana",
    "p.m.": "de la tarde",
  },
  units: {
    kg: ["kilogramo", "kilogramos"],
    g: ["gramo", "gramos"],
    km: ["kilómetro", "kilómetros"],
    "km/h": ["kilómetro por hora", "kilómetros por hora"],
    m: ["metro", "metros"],
    cm: ["centímetro", "centímetros"],
    mm: ["milímetro", "milímetros"],
    ml: ["mililitro", "mililitros"],
    mg: ["miligramo", "miligramos"],
    "°C": ["grado Celsius", "grados Celsius"],
    min: ["minuto", "minutos"],
  },
  ordinals: "(\\d+)\\.?[ºª]",
  hourMark: "h",
  large: "mil|millón|millones|mil millones",
};

/** "uno" loses its end before a noun: "un euro", "veintiún euros". */
function beforeNoun(said: string): string {
  return said.replace(/veintiuno$/, "veintiún").replace(/\buno$/, "un");
}
