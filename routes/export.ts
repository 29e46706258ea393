/** The export of a tenant: a zip of JSON lines, sent as it is read. */

import { createRoute, z } from "@hono/zod-openapi";
import type { AskDesk } from "@/actors/desk/errands.ts";
import { type ZipFile, zipStream } from "@/lib/zip.ts";
import { newRoutes, SIGNED_IN } from "./openapi.ts";

type Kinds = Awaited<ReturnType<typeof beginExport>>;

const get = createRoute({
  method: "get",
  path: "/",
  tags: ["Privacy"],
  summary: "Export the tenant",
  description:
    "Everything that is the tenant's but secrets: a file of JSON lines a kind, a row a line. Pages are read one after the other: what changes meanwhile may be in it or not.",
  security: SIGNED_IN,
  responses: {
    200: {
      description: "A zip",
      content: { "application/zip": { schema: z.string().meta({ format: "binary" }) } },
    },
  },
});

export const exports = newRoutes().openapi(get, async (c) => {
  const { desk } = c.var;
  const zip = zipStream(filesOf(desk, await beginExport(desk)));
  return c.body(zip, 200, {
    "Content-Type": "application/zip",
    "Content-Disposition": 'attachment; filename="export.zip"',
  });
});

function beginExport(desk: AskDesk) {
  return desk("beginExport");
}

function* filesOf(desk: AskDesk, kinds: Kinds): Iterable<ZipFile> {
  for (const kind of kinds) yield { name: `${kind}.jsonl`, pieces: piecesOf(desk, kind) };
}

/** A page is a piece: of one file no more is in memory. */
async function* piecesOf(desk: AskDesk, kind: Kinds[number]): AsyncIterable<string> {
  let after: readonly string[] | null = null;
  do {
    const page: Awaited<ReturnType<typeof readPage>> = await readPage(desk, kind, after);
    if (page.lines.length > 0) yield page.lines.join("\n") + "\n";
    after = page.next;
  } while (after !== null);
}

function readPage(desk: AskDesk, kind: Kinds[number], after: readonly string[] | null) {
  return desk("exportPage", { kind, after });
}
