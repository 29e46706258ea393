/** Digits that a caller presses, until they are complete: by a last key, by their number, or by a silence. */

export interface KeypadOptions {
  /** It takes no more than these. */
  readonly maxDigits: number;
  /** With fewer the caller is asked again. */
  readonly minDigits: number;
  /** The key that ends them, which is none of them; null: there is none. */
  readonly terminator: "#" | "*" | null;
  /** From the question to the first key. */
  readonly firstDigitMs: number;
  /** From one key to the next. */
  readonly interDigitMs: number;
  /** Where they go; null: nowhere but to who reads them. */
  readonly variable: string | null;
  /** Only how many they are is told. */
  readonly isMasked: boolean;
}

export interface Keypad {
  readonly options: KeypadOptions;
  readonly digits: string;
  /** When it gives up, or takes what it has; on the clock that its events are told by. */
  readonly dueAt: number;
  readonly isDone: boolean;
}

export type KeypadEvent =
  | { readonly type: "pressed"; readonly digit: string; readonly at: number }
  /** The timer of `dueAt` fired; one of an older `dueAt` does no harm. */
  | { readonly type: "waited"; readonly at: number };

export type KeypadResult =
  /** Complete. */
  | { readonly type: "entered"; readonly digits: string }
  /** The caller ended, or stopped, with too few. */
  | { readonly type: "tooShort"; readonly digitCount: number }
  /** Nothing was pressed. */
  | { readonly type: "nothing" };

export function newKeypad(options: KeypadOptions, at: number): Keypad {
  return { options, digits: "", dueAt: at + options.firstDigitMs, isDone: false };
}

/** The state behind the event, and the result that it brings. Behind a result nothing more is taken. */
export function takeKey(keypad: Keypad, event: KeypadEvent): [Keypad, KeypadResult | null] {
  if (keypad.isDone) return [keypad, null];
  const { options } = keypad;
  switch (event.type) {
    case "waited":
      return event.at < keypad.dueAt ? [keypad, null] : finish(keypad);
    case "pressed": {
      if (event.digit === options.terminator) return finish(keypad);
      const digits = keypad.digits + event.digit;
      const next = { ...keypad, digits, dueAt: event.at + options.interDigitMs };
      return digits.length >= options.maxDigits ? finish(next) : [next, null];
    }
  }
}

function finish(keypad: Keypad): [Keypad, KeypadResult] {
  const { digits, options } = keypad;
  const done = { ...keypad, digits: "", isDone: true };
  if (digits === "") return [done, { type: "nothing" }];
  if (digits.length < options.minDigits) {
    return [done, { type: "tooShort", digitCount: digits.length }];
  }
  return [done, { type: "entered", digits }];
}
