/** OpenAI's SDK as all our adapters use it: without its environment, its retries and its log. */

import OpenAI from "openai";
import { AppError } from "@/lib/errors.ts";
import type { Secret } from "@/lib/secret.ts";
import { providerError } from "./http.ts";
import { retryAfterOf } from "./retry_after.ts";

export interface OpenAIAccount {
  readonly apiKey: Secret;
  /** As `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  readonly fetch?: typeof fetch;
}

export function openaiClient({ apiKey, baseUrl, fetch }: OpenAIAccount): OpenAI {
  // What is null here the SDK would read from the environment.
  return new OpenAI({
    apiKey: apiKey.reveal(),
    baseURL: baseUrl,
    maxRetries: 0,
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    logLevel: "off",
    ...(fetch === undefined ? {} : { fetch }),
  });
}

/** What the server says of an error may quote the prompt: only its status and code are repeated. */
export function openaiFailure(provider: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof OpenAI.APIError && typeof error.status === "number") {
    const { status, code, headers } = error;
    const retryAfterS = retryAfterOf((name) => headers?.get(name));
    const what = `it answered ${status} "${code ?? "no code"}"`;
    return providerError(provider, what, { status, retryAfterS });
  }
  if (error instanceof SyntaxError) {
    return providerError(provider, "it sent no JSON", { retryable: false, cause: error });
  }
  if (error instanceof OpenAI.APIConnectionError) {
    return providerError(provider, "it cannot be reached", { cause: error });
  }
  return providerError(provider, "its answer was lost", { cause: error });
}
