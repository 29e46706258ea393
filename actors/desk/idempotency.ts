/** Doing a thing once: an errand under an `Idempotency-Key` is run, or its first answer given again. */

import {
  deleteIdempotencyKey,
  deleteOldIdempotencyKeys,
  getIdempotencyKey,
  type IdempotencyRow,
  type IdempotencyStage,
  insertIdempotencyKey,
  updateIdempotencyKey,
} from "@/db/idempotency.ts";
import type { Place } from "@/db/vault.ts";
import { AppError, type ErrorCode } from "@/lib/errors.ts";
import { isSameHash, peppered } from "@/lib/pepper.ts";
import type { Office } from "./office.ts";

/** While the first request runs, the second may ask again after this. */
const RETRY_AFTER_S = 1;

/** After these nobody knows whether what an actor was asked to do was done. */
const UNCERTAIN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(
  ["unknown_outcome", "provider_failed", "actor_stopped", "database_unavailable", "internal"],
);

export interface Asked {
  readonly errand: string;
  readonly key: string;
  /** JSON: with the errand it is what "the same request" means. */
  readonly input: unknown;
}

/**
 * Runs the errand, if nobody has under this principal's key, or gives the first answer again.
 *
 * The key's row is committed before the errand runs, and says "acted" in the errand's own transaction.
 * So a process that dies leaves no doubt: what it had not committed can be done by the next request,
 * and only by one, since a transaction of a lost lease rolls back. The answer is sealed when the errand
 * has ended; who dies in between leaves a thing that was done and an answer that is lost, and the next
 * request is told so. A failed errand gives the key back.
 *
 * Throws AppError("key_reused") for another request under the key, and AppError("conflict") while the
 * first one runs (`retryAfterS`), or when its answer is lost.
 */
export async function once<T>(
  office: Office,
  asked: Asked,
  run: (office: Office) => Promise<T>,
): Promise<T> {
  const { tenantId, by, vault, read } = office;
  const id = { principal: by.id, errand: asked.errand, key: asked.key };
  const place: Place = {
    tenantId,
    table: "idempotency_key",
    column: "answer_sealed",
    row: JSON.stringify(id),
  };
  const requestHash = hashOf(office, asked);
  const lease = crypto.randomUUID();
  await vault.seal(place, ""); // fails before the act, not after it

  const standing = await read(async (sql) => {
    await deleteOldIdempotencyKeys(sql, tenantId);
    if (await insertIdempotencyKey(sql, tenantId, id, { requestHash, lease })) return null;
    return await getIdempotencyKey(sql, tenantId, id) ?? begun(requestHash);
  });
  if (standing !== null) {
    const sealed = answered(standing, requestHash);
    return JSON.parse(await vault.open(place, sealed)).answer;
  }

  const answer = await run(marking(office, id, lease)).catch(async (error) => {
    const isCertain = error instanceof AppError && !UNCERTAIN.has(error.code);
    const stages: IdempotencyStage[] = isCertain ? ["begun", "asked"] : ["begun"];
    await read((sql) => deleteIdempotencyKey(sql, tenantId, id, { lease, stages })).catch(
      () => {}, // its lease runs out
    );
    throw error;
  });
  try {
    const answerSealed = await vault.seal(place, JSON.stringify({ answer }));
    await read((sql) =>
      updateIdempotencyKey(sql, tenantId, id, { lease, stage: "answered", answerSealed })
    );
  } catch (error) { // it is done: whoever asked is told so all the same
    const { requestId } = office.request;
    office.log.warn("answer not kept", { errand: asked.errand, requestId, error });
  }
  return answer;
}

/** The office, where whatever is done is marked on the key's row: a transaction in itself, an ask before it. */
function marking(
  office: Office,
  id: Parameters<typeof updateIdempotencyKey>[2],
  lease: string,
): Office {
  const { tenantId } = office;
  const mark = async (sql: Parameters<typeof updateIdempotencyKey>[0], stage: IdempotencyStage) => {
    if (!await updateIdempotencyKey(sql, tenantId, id, { lease, stage })) throw isRunning();
  };
  return {
    ...office,
    act: (work) =>
      office.act(async (act) => {
        const result = await work(act);
        await mark(act.sql, "acted");
        return result;
      }),
    desk: {
      async ask(question, options) {
        await office.read((sql) => mark(sql, "asked"));
        return await office.desk.ask(question, options);
      },
    },
  };
}

/** The sealed answer of a key that was used before. */
function answered(standing: IdempotencyRow, requestHash: Uint8Array): Uint8Array {
  if (!isSameHash(standing.requestHash, requestHash)) {
    throw new AppError("key_reused", "The Idempotency-Key came before with another request", {
      field: "Idempotency-Key",
    });
  }
  if (standing.answerSealed !== null) return standing.answerSealed;
  if (standing.isLeased) throw isRunning();
  const what = standing.stage === "acted" ? "was done" : "may have been done";
  throw new AppError(
    "conflict",
    `The first request with this Idempotency-Key ${what}, but its answer is lost: read what there is`,
    { field: "Idempotency-Key" },
  );
}

/** One that ended between two looks has failed and left nothing: it is asked again. */
function begun(requestHash: Uint8Array): IdempotencyRow {
  return { requestHash, stage: "begun", answerSealed: null, isLeased: true };
}

function isRunning(): AppError {
  return new AppError("conflict", "The first request with this Idempotency-Key still runs", {
    field: "Idempotency-Key",
    retryable: true,
    retryAfterS: RETRY_AFTER_S,
  });
}

/** Under the pepper, since a short input could be guessed from a plain hash. */
function hashOf({ pepper }: Office, { errand, input }: Asked): Uint8Array {
  if (pepper === null) {
    throw new AppError("not_configured", "Cannot keep an Idempotency-Key: no pepper is set", {
      field: "TOKEN_PEPPER",
    });
  }
  return peppered(pepper, "idempotency", JSON.stringify([errand, input ?? null], sorted));
}

/** A replacer under which the order of names makes no difference. */
function sorted(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1));
}
