/** Values for fast-check out of JSON schemas: what fits, what nearly fits, and what does not at all. */

import fc from "fast-check";

/** As far as it is used by our own document. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly example?: unknown;
}

/** Stands for an id of this prefix that is there: whoever sends it puts one in, the `pick`th. */
export class RealId {
  readonly prefix: string;
  readonly pick: number;

  constructor(prefix: string, pick: number) {
    this.prefix = prefix;
    this.pick = pick;
  }
}

const DEPTH_MAX = 5;
/** More of a list or a text tells nothing more, and takes time. */
const ITEMS_MAX = 4;
const TEXT_MAX = 300;

const NASTY = fc.constantFrom(
  ...["", " ", "\0", "\ud800", "\u202e", "null", "__proto__", "constructor", "../..", "'; --"],
  ...["%00", "😀".repeat(30), "e\u0301".repeat(50), "x".repeat(20_000), "1e999", "-0", "NaN"],
);
export const wildText = fc.oneof(NASTY, fc.string({ unit: "binary", maxLength: 40 }));
export const wildJson = fc.oneof(
  wildText,
  fc.jsonValue({ stringUnit: "binary" }),
  fc.constantFrom(null, true, -1, 0, 1.5, 2 ** 53, 1e308, [], {}, [[[[]]]], { id: "x" }),
);

export function valuesOf(root: unknown): (schema: JsonSchema) => fc.Arbitrary<unknown> {
  function resolve(schema: JsonSchema): JsonSchema {
    if (schema.$ref === undefined) return schema;
    const parts = schema.$ref.slice(2).split("/");
    return resolve(parts.reduce<unknown>((at, part) => Object(at)[part], root) as JsonSchema); // our document
  }

  function text(schema: JsonSchema): fc.Arbitrary<unknown> {
    const { minLength = 0, maxLength = TEXT_MAX, pattern, format, example } = schema;
    const prefix = /^([a-z]+)_[0-9a-f]{8}-/.exec(String(example ?? ""))?.[1];
    if (prefix !== undefined) {
      const real = fc.oneof(fc.nat(2), fc.nat(1_000)).map((pick) => new RealId(prefix, pick));
      const missing = fc.uuid({ version: 7 }).map((id) => `${prefix}_${id}`);
      return fc.oneof({ weight: 8, arbitrary: real }, missing);
    }
    const max = Math.min(maxLength, TEXT_MAX);
    if (format === "email") return fc.emailAddress();
    if (format === "date-time") {
      return fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
        .map((date) => date.toISOString());
    }
    if (format === "e164") {
      return fc.integer({ min: 1_000_000, max: 9_999_999 }).map((number) => `+4930${number}`);
    }
    if (format === "uri") return fc.webUrl();
    if (format === "uuid") return fc.uuid();
    if (pattern !== undefined) return matching(pattern, max);
    const plain = fc.string({ minLength: Math.min(minLength, max), maxLength: max });
    const any = fc.string({
      unit: "grapheme",
      minLength: Math.min(minLength, max),
      maxLength: max,
    });
    return fc.oneof(plain, any.map((value) => value.slice(0, max)));
  }

  function object(schema: JsonSchema, depth: number): fc.Arbitrary<unknown> {
    const { properties = {}, required = [], additionalProperties } = schema;
    const parts = Object.fromEntries(
      Object.entries(properties).map(([name, part]) => [name, make(part, depth + 1)]),
    );
    const named = fc.record(parts, { requiredKeys: required.filter((name) => name in parts) });
    if (typeof additionalProperties !== "object" || depth >= DEPTH_MAX) return named;
    const more = fc.dictionary(
      fc.string({ minLength: 1, maxLength: 20 }),
      make(additionalProperties, depth + 1),
      { maxKeys: ITEMS_MAX },
    );
    return fc.tuple(more, named).map(([some, others]) => ({ ...some, ...others }));
  }

  function ofType(
    type: string | undefined,
    schema: JsonSchema,
    depth: number,
  ): fc.Arbitrary<unknown> {
    switch (type) {
      case "string":
        return text(schema);
      case "integer":
        return fc.integer({
          min: Math.max(schema.minimum ?? -1_000, -(2 ** 31)),
          max: Math.min(schema.maximum ?? 1_000_000, 2 ** 31 - 1),
        });
      case "number":
        return fc.double({
          noNaN: true,
          min: schema.minimum ?? -1e6,
          max: schema.maximum ?? 1e6,
        });
      case "boolean":
        return fc.boolean();
      case "null":
        return fc.constant(null);
      case "array": {
        const maxLength = depth >= DEPTH_MAX
          ? 0
          : Math.min(schema.maxItems ?? ITEMS_MAX, ITEMS_MAX);
        const minLength = Math.min(schema.minItems ?? 0, maxLength);
        return fc.array(make(schema.items ?? {}, depth + 1), { minLength, maxLength });
      }
      case "object":
        return object(schema, depth);
      default:
        return fc.jsonValue({ maxDepth: 2 });
    }
  }

  function make(given: JsonSchema, depth = 0): fc.Arbitrary<unknown> {
    if (depth > DEPTH_MAX + 2) return fc.constant(null);
    const schema = resolve(given);
    if (schema.const !== undefined) return fc.constant(schema.const);
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
    const either = schema.anyOf ?? schema.oneOf;
    if (either !== undefined) return fc.oneof(...either.map((part) => make(part, depth)));
    if (schema.allOf !== undefined) {
      const parts = schema.allOf.map((part) => make(part, depth));
      return fc.tuple(...parts).map((all) => Object.assign({}, ...all));
    }
    const { type } = schema;
    if (typeof type === "string" || type === undefined) return ofType(type, schema, depth);
    return fc.oneof(...type.map((one) => ofType(one, schema, depth)));
  }

  return (schema) => make(schema);
}

/** A pattern that the generator cannot follow is answered with any text. */
function matching(pattern: string, max: number): fc.Arbitrary<unknown> {
  try {
    return fc.stringMatching(new RegExp(pattern), { maxLength: max });
  } catch {
    return fc.string({ maxLength: max });
  }
}

/** One thing in it is another: a name is missing or new, a value is of another kind. */
export function nearly(value: unknown, how: number, wild: unknown): unknown {
  if (Array.isArray(value)) {
    if (value.length === 0 || how % 3 === 0) return [...value, wild];
    const at = how % value.length;
    return value.map((item, i) => i === at ? nearly(item, how >> 2, wild) : item);
  }
  if (typeof value !== "object" || value === null || value instanceof RealId) return wild;
  const entries = Object.entries(value);
  if (entries.length === 0 || how % 5 === 0) return { ...value, [`x${how}`]: wild };
  const at = how % entries.length;
  if (how % 5 === 1) return Object.fromEntries(entries.filter((_, i) => i !== at));
  return Object.fromEntries(
    entries.map(([name, part], i) => [name, i === at ? nearly(part, how >> 2, wild) : part]),
  );
}
