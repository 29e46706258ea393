/** The operations of our own document, and the ids to ask them for. */

import type { ApiDocument } from "@/routes/reference.ts";
import { type JsonSchema, RealId } from "./schema_values.ts";

export interface Operation {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly {
    name: string;
    in: string;
    required: boolean;
    schema: JsonSchema;
  }[];
  readonly bodySchema: JsonSchema | null;
  readonly responses: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** All of them, with what they refer to in its place. */
export function operationsOf(document: ApiDocument): Operation[] {
  const resolve = (part: unknown): never => {
    const ref: string | undefined = Object(part).$ref;
    if (ref === undefined) return part as never; // typed by where it is used
    return resolve(ref.slice(2).split("/").reduce((at, name) => Object(at)[name], document));
  };
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method} ${path}`,
      method: method.toUpperCase(),
      path,
      parameters: (operation.parameters ?? []).map(resolve),
      bodySchema: Object(operation.requestBody).content?.["application/json"]?.schema ?? null,
      responses: Object.fromEntries(
        Object.entries(operation.responses).map(([status, answer]) => [status, resolve(answer)]),
      ),
    }))
  );
}

/** One of a prefix is as good as another. */
const IDS_MAX = 200;

/** Ids that the API has told of, by their prefix. */
export class KnownIds {
  readonly #of = new Map<string, string[]>();

  note(text: string): void {
    for (const [id, prefix = ""] of text.matchAll(/\b([a-z]+)_[0-9a-f-]{36}\b/g)) {
      const known = this.#of.get(prefix) ?? [];
      if (known.length < IDS_MAX && !known.includes(id)) known.push(id);
      this.#of.set(prefix, known);
    }
  }

  /** The value with real ids in their places. */
  fill(value: unknown): unknown {
    if (value instanceof RealId) {
      const known = this.#of.get(value.prefix) ?? [];
      return known[value.pick % known.length] ?? `${value.prefix}_none`;
    }
    if (Array.isArray(value)) return value.map((item) => this.fill(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, this.fill(part)]));
  }
}
