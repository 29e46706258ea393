/** JSON is looked over before `JSON.parse`, which would hold the event loop for seconds or pick one of two meanings. */

import { AppError } from "@/lib/errors.ts";

export const JSON_DEPTH_MAX = 64;
/** Members and elements of all objects and arrays of a body together. */
export const JSON_VALUES_MAX = 10_000;

/** An object or array that has not ended. */
interface Open {
  /** Null: an array. */
  readonly keys: Set<string> | null;
  /** The member or element that the scan is in. */
  at: string | number;
  expectsKey: boolean;
}

/** `["turns", 0, "text"]` → `turns[0].text`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("")
    .replace(/^\./, "");
}

/**
 * Throws AppError("too_large") for what is too deep or too wide, and AppError("invalid") naming the field
 * for what two parsers would read differently or no database stores: a key that comes twice, `__proto__`,
 * U+0000, half a surrogate pair, a number beyond a double. Text that is no JSON at all may pass: the
 * parser refuses it.
 */
export function scanJson(text: string): void {
  const open: Open[] = [];
  let values = 0;

  function invalid(what: string, inside: readonly PropertyKey[] = []): AppError {
    const field = pathText([...open.map(({ at }) => at), ...inside]);
    const message = `Wrong input in "${field}": ${what}`;
    return new AppError("invalid", message, {
      field,
      errors: [{ in: "body", field, message: what }],
    });
  }

  function count(): void {
    values++;
    if (values > JSON_VALUES_MAX) throw tooLarge(`${JSON_VALUES_MAX} values`);
  }

  function start(keys: Set<string> | null): void {
    count();
    open.push({ keys, at: keys === null ? 0 : "", expectsKey: keys !== null });
    if (open.length > JSON_DEPTH_MAX) throw tooLarge(`${JSON_DEPTH_MAX} levels`);
  }

  function takeKey(inside: Open, quoted: string): void {
    const key = quoted.includes("\\") ? unescaped(quoted) : quoted.slice(1, -1);
    inside.at = key;
    if (key === "__proto__") throw invalid("Not a name that is taken");
    if (inside.keys?.has(key)) throw invalid("Comes twice");
    inside.keys?.add(key);
  }

  for (let i = 0; i < text.length; i++) {
    const inside = open.at(-1);
    switch (text[i]) {
      case "{":
        start(new Set());
        break;
      case "[":
        start(null);
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case ",":
        count();
        if (inside?.keys === null && typeof inside.at === "number") inside.at++;
        else if (inside !== undefined) inside.expectsKey = true;
        break;
      case ":":
        if (inside !== undefined) inside.expectsKey = false;
        break;
      case '"': {
        const { end, fault } = scanString(text, i);
        if (fault !== null) throw invalid(fault);
        if (inside?.expectsKey) takeKey(inside, text.slice(i, end + 1));
        i = end;
        break;
      }
      default: {
        const number = numberAt(text, i);
        if (number === null) break;
        if (!Number.isFinite(Number(number))) throw invalid("Number is out of range");
        i += number.length - 1;
      }
    }
  }
}

function tooLarge(limit: string): AppError {
  return new AppError("too_large", `Body is over the limit of ${limit}`);
}

/** Where the string that begins at `start` has its last quote, and what it must not hold. */
function scanString(text: string, start: number): { end: number; fault: string | null } {
  let fault: string | null = null;
  let i = start + 1;
  for (; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === 0x22) break;
    if (character === 0) fault = "U+0000 is not taken";
    if (character !== 0x5c) continue;
    i++; // whatever follows a backslash is no quote
    const unit = unitAt(text, i);
    if (unit === null) continue;
    if (unit === 0) fault = "U+0000 is not taken";
    const isHigh = unit >= 0xd800 && unit < 0xdc00;
    const next = isHigh && text[i + 5] === "\\" ? unitAt(text, i + 6) ?? 0 : 0;
    const isPair = isHigh && next >= 0xdc00 && next < 0xe000;
    if (!isPair && unit >= 0xd800 && unit < 0xe000) fault = "Half a surrogate pair is not taken";
    i += isPair ? 10 : 4;
  }
  return { end: i, fault };
}

/** The code unit of `uXXXX` at this place. */
function unitAt(text: string, at: number): number | null {
  const escape = text.slice(at, at + 5);
  return /^u[0-9a-fA-F]{4}$/.test(escape) ? Number.parseInt(escape.slice(1), 16) : null;
}

const NUMBER = /[-+.\deE]+/y;

function numberAt(text: string, at: number): string | null {
  const first = text.charCodeAt(at);
  if (first !== 0x2d && (first < 0x30 || first > 0x39)) return null;
  NUMBER.lastIndex = at;
  return NUMBER.exec(text)?.[0] ?? null;
}

/** A key with escapes; one that does not parse is left to the parser of the whole. */
function unescaped(quoted: string): string {
  try {
    return JSON.parse(quoted);
  } catch {
    return quoted;
  }
}
