/** The export of a tenant: a zip of JSON lines and of sound, sent as it is read. */

import { createRoute, z } from "@hono/zod-openapi";
import type { AskDesk } from "@/actors/desk/errands.ts";
import { wavFile } from "@/lib/recording/download.ts";
import { take, type Taken } from "@/lib/recording/takeaway.ts";
import { type ZipFile, zipStream } from "@/lib/zip.ts";
import { newRoutes, SIGNED_IN } from "./openapi.ts";

type Kinds = Awaited<ReturnType<typeof beginExport>>;

const get = createRoute({
  method: "get",
  path: "/",
  tags: ["Privacy"],
  summary: "Export the tenant",
  description:
    "Everything that is the tenant's but secrets: a file of JSON lines a kind, a row a line, and the sound of recordings as WAV files, up to 2 GiB; `sound.jsonl` says of each where it is or why it was left out. Pages are read one after the other: what changes meanwhile may be in it or not.",
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

async function* filesOf(desk: AskDesk, kinds: Kinds): AsyncIterable<ZipFile> {
  for (const kind of kinds) yield { name: `${kind}.jsonl`, pieces: piecesOf(desk, kind) };
  yield* soundOf(desk);
}

/** The recordings, one after the other, then the manifest: of one of them a segment is in memory. */
async function* soundOf(desk: AskDesk): AsyncIterable<ZipFile> {
  const manifest: Taken[] = [];
  let takenBytes = 0;
  let after: string | null = null;
  for (;;) {
    const page: Awaited<ReturnType<typeof readRecordings>> = await readRecordings(desk, after);
    for (const recording of page) {
      const taken = take(recording, takenBytes);
      manifest.push(taken);
      if (taken.file === null) continue;
      takenBytes += taken.bytes;
      yield { name: taken.file, pieces: wavOf(desk, recording), isBinary: true };
    }
    const last = page.at(-1);
    if (last === undefined) break;
    after = last.id;
  }
  yield { name: "sound.jsonl", pieces: linesOf(manifest) };
}

function readRecordings(desk: AskDesk, after: string | null) {
  return desk("exportRecordings", { after });
}

function wavOf(
  desk: AskDesk,
  { id, store, format, bytes }: Awaited<ReturnType<typeof readRecordings>>[number],
): AsyncIterable<Uint8Array> {
  const file = wavFile(format, bytes);
  const whole = { from: 0, to: file.totalBytes - 1 };
  return file.read(whole, (index) => desk("exportSegment", { recordingId: id, store, index }));
}

async function* linesOf(manifest: readonly Taken[]): AsyncIterable<string> {
  for (const line of manifest) yield await Promise.resolve(`${JSON.stringify(line)}\n`);
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
