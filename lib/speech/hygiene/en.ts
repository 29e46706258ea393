/** How English says figures and signs. */

import { toCardinal, toOrdinal } from "n2words/en-US";
import type { SpokenLanguage } from "./language.ts";

export const english: SpokenLanguage = {
  decimalMark: ".",
  groupMarks: ",",
  dayFirst: false,
  months: [
    ..."january|february|march|april|may|june|july|august|september|october|november|december"
      .split("|"),
  ],
  cardinal: (plain) => toCardinal(plain),
  ordinal: (value) => toOrdinal(value),
  counting: (plain) => toCardinal(plain),
  year,
  date({ day, month, year: of }) {
    const name = english.months[month - 1] ?? "";
    const said = `${name.charAt(0).toUpperCase()}${name.slice(1)} ${toOrdinal(day)}`;
    return of === null ? said : `${said}, ${year(of)}`;
  },
  time(hour, minute) {
    if (minute === 0) return hour > 12 || hour === 0 ? `${toCardinal(hour)} hundred` : oClock(hour);
    return `${toCardinal(hour)} ${minute < 10 ? "oh " : ""}${toCardinal(minute)}`;
  },
  signs: {
    "%": "percent",
    "&": "and",
    "+": "plus",
    "=": "equals",
    "@": "at",
    "€": "euros",
    "$": "dollars",
    "£": "pounds",
    "°": "degrees",
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "×": "times",
  },
  range: "to",
  number: "number",
  currencies: {
    USD: ["dollar", "dollars", "cent", "cents"],
    EUR: ["euro", "euros", "cent", "cents"],
    GBP: ["pound", "pounds", "penny", "pence"],
    CHF: ["franc", "francs", "centime", "centimes"],
  },
  currencyJoint: " and ",
  largeJoint: " ",
  abbreviations: {
    "Dr.": "Doctor",
    "Mr.": "Mister",
    "Mrs.": "Missus",
    "Ms.": "Miz",
    "Prof.": "Professor",
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "approx.": "approximately",
    "No.": "number",
    "Ave.": "Avenue",
    "Blvd.": "Boulevard",
    "Rd.": "Road",
    "appt.": "appointment",
    "a.m.": "AM",
    "p.m.": "PM",
  },
  units: {
    kg: ["kilogram", "kilograms"],
    g: ["gram", "grams"],
    km: ["kilometer", "kilometers"],
    "km/h": ["kilometer an hour", "kilometers an hour"],
    m: ["meter", "meters"],
    cm: ["centimeter", "centimeters"],
    mm: ["millimeter", "millimeters"],
    ml: ["milliliter", "milliliters"],
    mg: ["milligram", "milligrams"],
    lbs: ["pound", "pounds"],
    "°C": ["degree Celsius", "degrees Celsius"],
    "°F": ["degree Fahrenheit", "degrees Fahrenheit"],
    min: ["minute", "minutes"],
    am: ["AM", "AM"],
    pm: ["PM", "PM"],
  },
  ordinals: "(\\d+)(?:st|nd|rd|th)",
  hourMark: "",
  large: "thousand|million|billion|trillion",
};

function oClock(hour: number): string {
  return `${toCardinal(hour)} o'clock`;
}

/** 1984 is nineteen eighty-four, 2005 two thousand five, 2026 twenty twenty-six. */
function year(value: number): string {
  const rest = value % 100;
  if (value % 1000 < 10) return toCardinal(value);
  const century = toCardinal(Math.floor(value / 100));
  if (rest === 0) return `${century} hundred`;
  return `${century} ${rest < 10 ? "oh " : ""}${toCardinal(rest)}`;
}
