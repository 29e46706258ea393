/** sqlmap on every parameter of every kind in our own document: `sqlmap [--only TEXT]`, where sqlmap is installed. */

import { parseArgs } from "node:util";
import fc from "fast-check";
import { systemClock } from "@/lib/clock.ts";
import { silentLog } from "@/lib/log.ts";
import { demoAgent } from "@/lib/workflow/demo.ts";
import type { ApiDocument } from "@/routes/reference.ts";
import { listen } from "@/routes/server.ts";
import { embeddedTestDatabase } from "@/tests/support/database.ts";
import { KnownIds, type Operation, operationsOf } from "@/tests/support/operations.ts";
import { valuesOf } from "@/tests/support/schema_values.ts";
import { type WholeApi, wholeApi } from "@/tests/support/whole_api.ts";

/** A request, in which sqlmap tries what it can at each star. */
interface Target {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** What stands at the stars: `query cursor`, `body name`. */
  readonly parameters: readonly string[];
}

type Outcome = "clean" | "injectable" | "unclear";
interface Row {
  readonly target: string;
  readonly parameters: readonly string[];
  readonly outcome: Outcome;
  readonly seconds: number;
  /** What sqlmap said, where it is not clean. */
  readonly said?: string;
}

/** Bodies are made until one is accepted. */
const BODIES_MAX = 60;
const SEED = 20_261_127;
/** What refuses a request refuses what is injected too: it is an answer as any other. */
const ANSWERS = "400,401,403,404,409,410,412,415,421,422,429,503";
const OPTIONS = [
  ...["--batch", "--flush-session", "--disable-coloring", "--level=3", "--dbms=PostgreSQL"],
  ...["--threads=4", "--time-sec=2", "--skip-waf", `--ignore-code=${ANSWERS}`],
];

export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({ args: [...args], options: { only: { type: "string" } } });
  const kit = await embeddedTestDatabase();
  const database = await kit.open();
  const api = await wholeApi(database);
  let requests = 0;
  const app: Pick<WholeApi["app"], "fetch"> = {
    fetch(...given) {
      requests++;
      return api.app.fetch(...given);
    },
  };
  const server = await listen(app, {
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, log: silentLog },
  });
  const folder = await Deno.makeTempDir({ prefix: "ringmaster_sqlmap_" });
  try {
    const rows: (Row & { readonly requests: number })[] = [];
    for (const target of await targetsOf(api)) {
      if (!target.name.includes(values.only ?? "")) continue;
      const before = requests;
      const attacked = await attack(target, { url: `http://127.0.0.1:${server.port}`, folder });
      const row = { ...attacked, requests: requests - before };
      await Deno.stderr.write(new TextEncoder().encode(`${JSON.stringify(row)}\n`));
      rows.push(row);
    }
    // A statement that did not parse would be a finding even where sqlmap made nothing of it.
    const broken = api.logged.filter((line) => line.includes("PostgresError"));
    return {
      targets: rows.length,
      requests,
      parameters: rows.flatMap(({ parameters }) => parameters).length,
      rows,
      brokenStatements: broken.length,
      firstBroken: broken[0] ?? null,
      failed: rows.filter(({ outcome }) => outcome !== "clean").length + broken.length,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
    await server.close();
    await api.close();
    await database.close();
  }
}

async function targetsOf(api: WholeApi): Promise<Target[]> {
  const document: ApiDocument = await (await api.ask("/openapi.json")).json();
  const ids = new KnownIds();
  ids.note([...api.ids, ...await furnish(api)].join(" "));
  const covered = new Set<string>();
  const targets: Target[] = [];
  // What every route has, as its credential, is tried where it leads to the database.
  const far = ({ path }: Operation) =>
    ["/api/v1/tenant", "/api/v1/"].findIndex((start) => path.startsWith(start)) >>> 0;
  for (const operation of operationsOf(document).toSorted((a, b) => far(a) - far(b))) {
    const target = await targetOf({ api, document, ids, covered }, operation);
    if (target !== null) targets.push(target);
  }
  return targets;
}

/** One of what the API can make, so that ids lead somewhere. */
async function furnish(api: WholeApi): Promise<string[]> {
  const made: readonly [path: string, body: unknown][] = [
    ["/agents", { name: "Front desk", graph: demoAgent }],
    ["/webhooks", { url: "https://example.com/hook", events: ["call.ended"] }],
    ["/api-keys", { name: "first", scopes: ["calls:read"] }],
    ["/invitations", { email: "bo@example.com", role: "viewer" }],
  ];
  return await Promise.all(made.map(async ([path, body]) => {
    const answer = await api.ask(`/api/v1${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return await answer.text();
  }));
}

interface Making {
  readonly api: WholeApi;
  readonly document: ApiDocument;
  readonly ids: KnownIds;
  /** Parameters that an earlier target has: one of a name and a place is as good as another. */
  readonly covered: Set<string>;
}

/** Null where every parameter has been in another target. */
async function targetOf(making: Making, operation: Operation): Promise<Target | null> {
  const { api, document, ids, covered } = making;
  const { name, method, path, bodySchema } = operation;
  const values = valuesOf(document);
  const fresh: string[] = [];
  /** With a star behind it, the first time. */
  function star(place: string, parameter: string, text: string): string {
    const key = `${place} ${parameter}`;
    const plain = text.replaceAll("*", "x");
    if (covered.has(key)) return plain;
    covered.add(key);
    fresh.push(key);
    return `${plain}*`;
  }
  const sample = (schema: Parameters<typeof values>[0]): unknown =>
    ids.fill(fc.sample(values(schema), { seed: SEED, numRuns: 1 })[0]);
  const of = (place: string) => operation.parameters.filter((it) => it.in === place);

  const body = bodySchema === null ? null : await acceptedBody(making, operation);
  const at = path.replaceAll(/\{(\w+)\}/g, (_, parameter) => {
    const schema = of("path").find((it) => it.name === parameter)?.schema ?? {};
    const value = String(sample(schema));
    const [prefix = parameter, rest] = value.split("_"); // an id of another kind is another parameter
    return star("path", rest === undefined ? parameter : prefix, encodeURIComponent(value));
  });
  const query = of("query").map((it) =>
    `${it.name}=${star("query", it.name, encodeURIComponent(String(sample(it.schema))))}`
  );
  const headers: Record<string, string> = {
    Authorization: star("header", "Authorization", `Bearer ${api.token}`),
  };
  for (const it of of("header")) {
    const value = String(sample(it.schema)).replaceAll(/[^\x20-\x7e]/g, "x") || "x";
    headers[it.name] = star("header", it.name, value);
  }
  headers["User-Agent"] = star("header", "User-Agent", "curl/8");
  if (body !== null) headers["Content-Type"] = "application/json";
  const starred = body === null ? null : JSON.stringify(starStrings(body, star));
  if (fresh.length === 0) return null;
  const where = `${at}${query.length === 0 ? "" : `?${query.join("&")}`}`;
  return { name, method, path: where, headers, body: starred, parameters: fresh };
}

/** Every string in it, but passwords: they are hashed, and go nowhere else. */
function starStrings(
  value: unknown,
  star: (place: string, parameter: string, text: string) => string,
  name = "",
): unknown {
  if (typeof value === "string") {
    return /password/i.test(name) ? value : star("body", name, value);
  }
  if (Array.isArray(value)) return value.map((item) => starStrings(item, star, name));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, starStrings(part, star, key)]),
  );
}

/** The first of some that is answered with a success; the first of all when none is. */
async function acceptedBody(
  { api, document, ids }: Making,
  operation: Operation,
): Promise<unknown> {
  const { path, method, bodySchema, parameters } = operation;
  const values = valuesOf(document);
  const bodies = fc.sample(values(bodySchema ?? {}), { seed: SEED, numRuns: BODIES_MAX })
    .map((made) => ids.fill(made));
  const at = path.replaceAll(/\{(\w+)\}/g, (_, parameter) => {
    const schema = parameters.find((it) => it.name === parameter)?.schema ?? {};
    const [made] = fc.sample(values(schema), { seed: SEED, numRuns: 1 });
    return encodeURIComponent(String(ids.fill(made)));
  });
  for (const body of bodies) {
    const answer = await api.ask(at, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) continue;
    ids.note(text);
    return body;
  }
  return bodies[0];
}

async function attack(
  target: Target,
  { url, folder }: { readonly url: string; readonly folder: string },
): Promise<Row> {
  const startedAt = systemClock.now();
  const headers = Object.entries(target.headers).map(([name, value]) => `${name}: ${value}`);
  const { stdout } = await new Deno.Command("sqlmap", {
    args: [
      ...OPTIONS,
      ...["-u", `${url}${target.path}`, `--method=${target.method}`, `--output-dir=${folder}`],
      ...["--headers", headers.join("\n")],
      ...(target.body === null ? [] : ["--data", target.body]),
    ],
    stderr: "null",
  }).output();
  const said = new TextDecoder().decode(stdout);
  const outcome = outcomeOf(said);
  return {
    target: target.name,
    parameters: target.parameters,
    outcome,
    seconds: Math.round((systemClock.now() - startedAt) / 1_000),
    ...(outcome === "clean" ? {} : { said: said.slice(-2_000) }),
  };
}

/** https://github.com/sqlmapproject/sqlmap: what it says at the end. */
function outcomeOf(said: string): Outcome {
  if (/identified the following injection point|is vulnerable/.test(said)) return "injectable";
  return said.includes("all tested parameters do not appear to be injectable")
    ? "clean"
    : "unclear";
}
