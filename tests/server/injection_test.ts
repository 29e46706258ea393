/** Strings that would be SQL, in every place where a route takes a string: they stay strings. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { testDatabase } from "@/tests/support/database.ts";
import { type Citizen, type MatrixKit, matrixKit } from "@/tests/support/matrix_kit.ts";
import { MATRIX, type MatrixRow } from "@/tests/support/matrix_rows.ts";
import { sqlPayload } from "@/tests/support/sql_payloads.ts";

const { open } = await testDatabase();

const PAYLOADS = Number(Deno.env.get("SQL_PAYLOADS") ?? 100);
const SEED = Number(Deno.env.get("TEST_SEED") ?? 3);

const RENEWED_EVERY = 10;

/** One place of one route that takes a string. */
interface Slot {
  readonly route: string;
  readonly row: MatrixRow;
  readonly at: "path" | "query" | "body" | "header";
  readonly name: string;
}

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
}

async function slotsOf(kit: MatrixKit): Promise<Slot[]> {
  const { body } = await kit.send({ method: "GET", path: "/openapi.json" });
  const { paths }: { paths: Record<string, Record<string, Operation>> } = JSON.parse(body);
  return Object.entries(MATRIX).flatMap(([route, row]) => {
    const [method = "", path = ""] = route.split(" ");
    const { parameters = [] } = paths[path]?.[method.toLowerCase()] ?? {};
    const named = parameters.flatMap(({ in: at, name }): Slot[] =>
      at === "path" || at === "query" ? [{ route, row, at, name }] : []
    );
    const fields = { ...row.bodyIds, ...row.body?.(NOBODY) };
    const inBody = Object.keys(fields).map((name): Slot => ({ route, row, at: "body", name }));
    return [...named, ...inBody, { route, row, at: "header", name: "X-Tenant-ID" }];
  });
}

/** Bodies are made of it only to learn their fields. */
const NOBODY = { ids: {}, number: "", caller: "", canary: "" } as Citizen;

function send(kit: MatrixKit, mine: Citizen, slot: Slot, text: string) {
  const { route, row, at, name } = slot;
  const [method = "", pattern = ""] = route.split(" ");
  const path = pattern.replaceAll(
    /\{(\w+)\}/g,
    (_, id: string) =>
      at === "path" && id === name ? encodeURIComponent(text) : row.ids?.[id]?.(mine.ids) ?? "x",
  );
  const query = at === "query" ? `?${name}=${encodeURIComponent(text)}` : row.query ?? "";
  const ids = Object.fromEntries(
    Object.entries(row.bodyIds ?? {}).map(([field, id]) => [field, id(mine.ids)]),
  );
  const fields = { ...row.body?.(mine), ...ids, ...(at === "body" ? { [name]: text } : {}) };
  return kit.send({
    method,
    path: `${path}${query}`,
    token: mine.key,
    ...(Object.keys(fields).length === 0 ? {} : { body: fields }),
    ...(at === "header" ? { tenantId: text.replaceAll(/[^\x20-\x7e]/g, "?") } : {}),
  });
}

Deno.test(`SQL in any string of any route stays a string, ${PAYLOADS} times`, async () => {
  await using database = await open();
  await using kit = await matrixKit(database);
  const other = await kit.newCitizen();
  const before = await kit.snapshot(other);
  const slots = await slotsOf(kit);
  let mine = await kit.newCitizen();
  let runs = 0;
  const property = fc.asyncProperty(fc.constantFrom(...slots), sqlPayload, async (slot, text) => {
    if (++runs % RENEWED_EVERY === 0) mine = await kit.newCitizen(); // some have lost their rows by then
    const { status, body } = await send(kit, mine, slot, text);
    const place = `${slot.route} ${slot.at} ${slot.name}`;
    assert.ok(status < 500, `${place}: ${status} ${body}`);
    assert.doesNotMatch(
      body,
      /syntax error|unterminated|SQLSTATE|PostgresError|relation "\w+" does/i,
      place,
    );
    assert.ok(!body.includes(other.canary), place);
  });
  await fc.assert(property, { numRuns: PAYLOADS, seed: SEED });
  assert.equal(await kit.snapshot(other), before);
});
