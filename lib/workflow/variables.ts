/** What a model claims to have found out, checked and brought into the type of its variable. */

import type { Variable } from "./graph.ts";
import type { Variables, VariableValue } from "./template.ts";

/** Characters of a string; the words of one turn fit. */
const STRING_MAX = 500;

export type Collected =
  | { readonly ok: true; readonly variables: Variables }
  /** A sentence for the model. */
  | { readonly ok: false; readonly error: string };

/**
 * Reads a function's arguments. Those that are no variable are ignored; null and an empty string mean
 * that there is none. A required one may be missing when it is `known` already, or nothing is `needed`.
 */
export function collect(
  text: string,
  variables: readonly Variable[],
  { known, needed }: { readonly known: Variables; readonly needed: boolean },
): Collected {
  const given = parseObject(text);
  if (given === null) return { ok: false, error: "The arguments are not a JSON object." };
  const collected: [string, VariableValue][] = [];
  for (const variable of variables) {
    const value = given.get(variable.name) ?? "";
    if (value === "" || (typeof value === "string" && value.trim() === "")) {
      if (!needed || !variable.required || Object.hasOwn(known, variable.name)) continue;
      return { ok: false, error: `"${variable.name}" is missing: ask the caller for it.` };
    }
    const normal = normalise(value, variable);
    if (normal === null) {
      return { ok: false, error: `"${variable.name}" must be ${kind(variable)}.` };
    }
    collected.push([variable.name, normal]);
  }
  return { ok: true, variables: Object.fromEntries(collected) };
}

function parseObject(text: string): ReadonlyMap<string, unknown> | null {
  try {
    // Some models send no text at all for a function without parameters.
    const value: unknown = JSON.parse(text.trim() === "" ? "{}" : text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return new Map(Object.entries(value));
  } catch {
    return null;
  }
}

function normalise(value: unknown, variable: Variable): VariableValue | null {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
    return null;
  }
  const text = String(value).trim().replace(/\s+/g, " ");
  switch (variable.type) {
    case "string":
      return text.length <= STRING_MAX ? text : null;
    case "number": {
      const number = typeof value === "boolean" ? NaN : Number(text);
      return Number.isFinite(number) ? number + 0 : null; // -0 would not survive JSON
    }
    case "boolean":
      if (/^(true|yes)$/i.test(text)) return true;
      return /^(false|no)$/i.test(text) ? false : null;
    case "enum":
      return variable.options.find((option) => option.toLowerCase() === text.toLowerCase()) ?? null;
  }
}

function kind(variable: Variable): string {
  switch (variable.type) {
    case "string":
      return `a string of at most ${STRING_MAX} characters`;
    case "number":
      return "a number";
    case "boolean":
      return "true or false";
    case "enum":
      return `one of ${variable.options.map((option) => `"${option}"`).join(", ")}`;
  }
}
