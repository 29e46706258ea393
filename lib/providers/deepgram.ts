/** Deepgram's SDK over our own socket: it writes requests and reads messages, and connects nothing itself. */

import { DeepgramClient } from "@deepgram/sdk";
import { z } from "zod";
import type { Clock } from "@/lib/clock.ts";
import type { Secret } from "@/lib/secret.ts";
import { providerError } from "./http.ts";
import { connectSocket, type SocketClient } from "./socket_client.ts";

/** Of a recogniser's socket: a caller speaks to it from the first moment on, and another is asked meanwhile. */
const CONNECT_TIMEOUT_MS = 2_000;

/** What every Deepgram adapter needs. */
export interface DeepgramOptions {
  readonly apiKey: Secret;
  /** `https://api.deepgram.com`, or another; http, https, ws and wss are understood. */
  readonly baseUrl: string;
  readonly clock: Clock;
}

/** The parts that the SDK's connections have in common. */
interface SdkConnection extends AsyncIterable<unknown> {
  connect(): unknown;
  waitForOpen(): Promise<unknown>;
}

/** An open connection of the SDK, the socket under it, and its messages as the SDK parsed them. */
export interface DeepgramLink<C> {
  readonly connection: C;
  readonly socket: SocketClient;
  /** As iterating `socket`: a loop over it may be run once, and says how the connection ended. */
  readonly messages: AsyncIterable<unknown>;
}

/** Connects once, without the SDK's retries. Rejects as `connectSocket` does. */
export async function openDeepgram<C extends SdkConnection>(
  provider: string,
  options: DeepgramOptions,
  signal: AbortSignal,
  request: (client: DeepgramClient) => Promise<C>,
): Promise<DeepgramLink<C>> {
  const { apiKey, baseUrl, clock } = options;
  const connected = Promise.withResolvers<SocketClient>();
  let deliver: (message: string | Uint8Array) => void = () => {};

  const client = new DeepgramClient({
    apiKey: apiKey.reveal(),
    baseUrl,
    reconnect: false,
    async transportFactory(url, headers) {
      const connecting = connectSocket(url, {
        provider,
        headers,
        clock,
        signal,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
      });
      connected.resolve(connecting);
      const socket = await connecting;
      return {
        send: (data) => socket.send(data as string | Uint8Array), // all that we make it send
        onOpen() {},
        onMessage: (listener) => void (deliver = listener),
        onError() {},
        onClose() {},
        isOpen: () => true, // the loop over `messages` is where its end is seen
        close: () => socket.close(),
      };
    },
  });

  const connection = await request(client);
  const parsed = connection[Symbol.asyncIterator]();
  connection.connect();
  const open = connection.waitForOpen();
  open.catch(() => {}); // `connected` says it better
  const socket = await connected.promise;
  await open;

  async function* messages(): AsyncIterable<unknown> {
    for await (const message of socket) {
      deliver(message);
      yield (await parsed.next()).value; // one comes out for each that goes in, text or JSON
    }
  }
  return { connection, socket, messages: messages() };
}

/**
 * Checks a message against the types we know. Null: a type that Deepgram has added since, which is no
 * failure. Throws AppError("provider_failed") for anything else, text that is not JSON included.
 */
export function readMessage<T>(
  provider: string,
  schema: z.ZodType<T>,
  types: readonly string[],
  message: unknown,
): T | null {
  const parsed = schema.safeParse(message);
  if (parsed.success) return parsed.data;
  const type = Envelope.safeParse(message).data?.type;
  if (type !== undefined && !types.includes(type)) return null;
  throw providerError(provider, "it sent a message that is not of its protocol");
}

const Envelope = z.object({ type: z.string() });
