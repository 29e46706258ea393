/** Structured logs: one JSON line an event on standard error. Standard output belongs to commands. */

import { AppError } from "./errors.ts";

export type Level = "debug" | "info" | "warn" | "error";

/** Personal data (numbers, transcripts, prompts) goes under `pii` and nowhere else. */
export interface Fields {
  readonly pii?: Readonly<Record<string, unknown>>;
  readonly [name: string]: unknown;
}

export interface Log {
  debug(sentence: string, fields?: Fields): void;
  info(sentence: string, fields?: Fields): void;
  warn(sentence: string, fields?: Fields): void;
  error(sentence: string, fields?: Fields): void;
}

const ORDER: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  readonly level: Level;
  /** False drops `pii` from every line. */
  readonly pii: boolean;
  /** Wall time of a line. */
  readonly date: () => Date;
  /** Where a line goes; standard error when absent. */
  readonly write?: (line: string) => void;
}

export function newLog(options: LogOptions): Log {
  // deno-lint-ignore no-console
  const write = options.write ?? ((line: string) => console.error(line));
  function at(level: Level): (sentence: string, fields?: Fields) => void {
    if (ORDER[level] < ORDER[options.level]) return () => {};
    return (sentence, fields = {}) => {
      const { pii, ...rest } = fields;
      const line = { at: options.date().toISOString(), level, message: sentence, ...rest };
      write(JSON.stringify(options.pii && pii !== undefined ? { ...line, pii } : line, readable));
    };
  }
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

function readable(_key: string, value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    // A failure that was foreseen is told by its code; where it was thrown helps with bugs alone.
    return value instanceof AppError ? { code: value.code, message, cause } : {
      name,
      message,
      stack,
      cause,
    };
  }
  return typeof value === "bigint" ? value.toString() : value;
}
