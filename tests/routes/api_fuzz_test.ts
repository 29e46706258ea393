/**
 * The fuzzer: requests made from our own document, and answers held against it. `FUZZ_RUNS` says how
 * many, `FUZZ_SEED` repeats a run.
 */

import assert from "node:assert/strict";
import Ajv2020 from "ajv/dist/2020.js";
import fc from "fast-check";
import { demoAgent } from "@/lib/workflow/demo.ts";
import type { ApiDocument } from "@/routes/reference.ts";
import { embeddedTestDatabase } from "@/tests/support/database.ts";
import { KnownIds, type Operation, operationsOf } from "@/tests/support/operations.ts";
import {
  type JsonSchema,
  nearly,
  valuesOf,
  wildJson,
  wildText,
} from "@/tests/support/schema_values.ts";
import { type WholeApi, wholeApi } from "@/tests/support/whole_api.ts";

const RUNS = Number(Deno.env.get("FUZZ_RUNS") ?? 1_500);
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 20_260_105);

const kit = await embeddedTestDatabase();

interface Case {
  readonly operation: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: readonly (readonly [string, unknown])[];
  readonly headers: Readonly<Record<string, unknown>>;
  /** `undefined`: none. */
  readonly body: unknown;
  readonly type: string | null;
}

/** Mostly what fits, sometimes what nearly does, now and then anything. */
function mixed(fitting: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const bent = fc.tuple(fitting, fc.nat(), wildJson).map(([value, how, wild]) =>
    nearly(value, how, wild)
  );
  return fc.oneof(
    { weight: 5, arbitrary: fitting },
    { weight: 4, arbitrary: bent },
    { weight: 1, arbitrary: wildJson },
  );
}

function cases(document: ApiDocument, operations: readonly Operation[]): fc.Arbitrary<Case> {
  const values = valuesOf(document);
  const all = operations.map(({ name, parameters, bodySchema }) => {
    const of = (where: string) => parameters.filter((it) => it.in === where);
    const fitting = (schema: JsonSchema) =>
      fc.oneof({ weight: 6, arbitrary: values(schema) }, wildText);
    const params = Object.fromEntries(of("path").map((it) => [it.name, fitting(it.schema)]));
    const query = of("query").map((it) => fc.tuple(fc.constant(it.name), fitting(it.schema)));
    const headers = Object.fromEntries(of("header").map((it) => [it.name, fitting(it.schema)]));
    // A password is hashed for every stranger, known or not: a tenth of a second each.
    const weight = name.includes("/auth/") ? 1 : 5;
    const arbitrary = fc.record({
      operation: fc.constant(name),
      params: fc.record(params),
      query: fc.tuple(
        query.length === 0 ? fc.constant([]) : fc.array(fc.oneof(...query), { maxLength: 4 }),
        fc.array(fc.tuple(wildText, wildText), { maxLength: 1 }),
        fc.nat(9),
      ).map(([known, unknown, dice]) => dice === 0 ? [...known, ...unknown] : known),
      headers: fc.tuple(fc.record(headers, { requiredKeys: [] }), fc.nat(3)).map(
        ([some, dice]) => dice === 0 ? some : {},
      ),
      body: bodySchema === null
        ? fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, wildJson)
        : mixed(values(bodySchema)),
      type: fc.oneof(
        { weight: 20, arbitrary: fc.constant("application/json") },
        fc.constantFrom(
          null,
          "text/plain",
          "application/json; charset=utf-16",
          "multipart/form-data",
        ),
      ),
    });
    return { weight, arbitrary };
  });
  return fc.oneof(...all);
}

/** A path or a query takes no half of a surrogate pair. */
const encoded = (value: unknown): string => encodeURIComponent(String(value).toWellFormed());

function requestOf(made: Case, { method, path, bodySchema }: Operation): [string, RequestInit] {
  const at = path.replaceAll(/\{(\w+)\}/g, (_, name) => {
    const value = encoded(made.params[name]);
    return /^\.{0,2}$/.test(value) ? "%20" : value; // an URL drops dots: that is another path
  });
  const query = made.query.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  const headers = new Headers();
  for (const [name, value] of Object.entries(made.headers)) {
    headers.set(name, String(value).replaceAll(/[^\x20-\x7e\xa1-\xff]/g, "?"));
  }
  const isSent = made.body !== undefined && method !== "GET" &&
    (bodySchema !== null || made.type !== null);
  if (isSent && made.type !== null) headers.set("Content-Type", made.type);
  return [`${at}${query === "" ? "" : `?${query}`}`, {
    method,
    headers: Object.fromEntries(headers),
    ...(isSent ? { body: new TextEncoder().encode(JSON.stringify(made.body)) } : {}),
  }];
}

/** The body; of a stream, which goes on as long as its call, nothing. */
async function read(response: Response): Promise<string> {
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
  if (!isStream) return await response.text();
  await response.body?.cancel();
  return "";
}

/** Holds answers against their schemas; what a schema does not name must not be in them. */
function judge(
  document: ApiDocument,
): (operation: Operation, status: number, type: string, text: string) => void {
  const ajv = new Ajv2020.default({ strict: false, allErrors: true, logger: false });
  ajv.addFormat("date-time", (text) => new Date(text).toISOString() === text);
  ajv.addFormat("email", /@/);
  ajv.addSchema(closed(document) as Record<string, unknown>, "api");
  return ({ name, path, method, responses }, status, type, text) => {
    const answer = responses[status];
    assert.ok(answer, `${name} answered ${status}, which the document does not know`);
    const content = Object(answer.content);
    if (answer.content === undefined) return assert.equal(text, "", `${name} ${status}: a body`);
    const known = Object.keys(content).find((it) => type.split(";")[0] === it);
    assert.ok(known, `${name} ${status} is "${type}", not ${Object.keys(content).join(" or ")}`);
    if (!/json$/.test(known)) return;
    const pointer = status >= 400 && known === "application/problem+json"
      ? "/components/schemas/Problem"
      : ["/paths", path, method.toLowerCase(), "responses", `${status}`, "content", known, "schema"]
        .map((part, at) => at === 0 ? part : `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`)
        .join("");
    const validate = ajv.getSchema(`api#${encodeURI(pointer)}`);
    assert.ok(validate, `No schema at ${pointer}`);
    assert.ok(
      validate(JSON.parse(text)),
      `${name} ${status} does not fit: ${ajv.errorsText(validate.errors)}\n${text.slice(0, 500)}`,
    );
  };
}

/** Objects take no name that they do not say; those with an `allOf` somewhere stay open, since each part has some. */
function closed(document: unknown): unknown {
  const merged = new Set(
    [...JSON.stringify(document).matchAll(/"allOf":\[\{"\$ref":"#\/components\/schemas\/(\w+)"/g)]
      .map(([, name]) => name),
  );
  function close(part: unknown, name = "", isMerged = false): unknown {
    if (Array.isArray(part)) return part.map((item) => close(item, "", isMerged));
    if (typeof part !== "object" || part === null) return part;
    const copy = Object.fromEntries(
      Object.entries(part).map(([key, it]) => [key, close(it, key, key === "allOf")]),
    );
    const isOpen = copy.type === "object" && copy.properties !== undefined;
    return isOpen && !isMerged && !merged.has(name)
      ? { additionalProperties: false, ...copy }
      : copy;
  }
  return close(document);
}

async function setUp() {
  const database = await kit.open();
  const api = await wholeApi(database);
  const document: ApiDocument = await (await api.ask("/openapi.json")).json();
  const agentId = await addAgent(api);
  return {
    api,
    agentId,
    document,
    async close() {
      await api.close();
      await database.close();
    },
  };
}

/** One whose graph can be published: no generator finds that by chance. */
async function addAgent(api: WholeApi): Promise<string> {
  const post = (path: string, body?: unknown) =>
    api.ask(`/api/v1/agents${path}`, {
      method: "POST",
      ...(body === undefined ? {} : {
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      }),
    });
  const made = await post("", { name: "Front desk", graph: demoAgent });
  const { id } = await made.json();
  const published = await post(`/${id}/publish`);
  assert.deepEqual([made.status, published.status], [201, 201]);
  await published.body?.cancel();
  return id;
}

Deno.test("api fuzz: no generated request breaks the API, and every answer fits its schema", async () => {
  const { api, agentId, document, close } = await setUp();
  const operations = operationsOf(document);
  const byName = new Map(operations.map((operation) => [operation.name, operation]));
  const ids = new KnownIds();
  ids.note([...api.ids, agentId].join(" "));
  const check = judge(document);
  const counts = new Map<string, number>();
  const answered = new Set<string>();

  async function one(made: Case): Promise<void> {
    const operation = byName.get(made.operation) ?? assert.fail();
    const [path, init] = requestOf(ids.fill(made) as Case, operation); // the same with ids put in
    const response = await api.ask(path, init);
    const text = await read(response);
    const { status } = response;
    counts.set(`${status}`, (counts.get(`${status}`) ?? 0) + 1);
    if (status < 300) answered.add(made.operation);
    const shown = `${init.method} ${path} ${JSON.stringify(ids.fill(made.body))?.slice(0, 2_000)}`;
    const isUnset = status === 503 && JSON.parse(text).code === "not_configured";
    const why = api.logged.at(-1);
    assert.ok(status < 500 || isUnset, `${status} to ${shown}\n${text}\n${why}`);
    try {
      check(operation, status, response.headers.get("content-type") ?? "", text);
    } catch (error) {
      throw new Error(`After ${shown}`, { cause: error });
    }
    if (status < 300 && path.startsWith("/api/")) ids.note(text); // not of the document's examples
  }

  try {
    await fc.assert(fc.asyncProperty(cases(document, operations), one), {
      numRuns: RUNS,
      seed: SEED,
      endOnFailure: true, // what was there at the time is not there again
    });
  } finally {
    await close();
  }
  const silent = operations.filter(({ name }) => !answered.has(name)).map(({ name }) => name);
  if (Deno.env.has("FUZZ_REPORT")) {
    await Deno.stdout.write(new TextEncoder().encode(
      `${JSON.stringify(Object.fromEntries(counts))}\nnever 2xx: ${silent.join(", ")}\n`,
    ));
  }
  const good = [...counts].filter(([status]) => status < "300").reduce((sum, [, n]) => sum + n, 0);
  assert.ok(good > RUNS / 10, `Only ${good} of ${RUNS} were accepted: the generator is too wild`);
});
