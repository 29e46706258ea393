/** Opens the socket of a link at the address that another machine has given. */

import { AppError } from "@/lib/errors.ts";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";
import { FRAME_BYTES_MAX } from "./frames.ts";
import { type Hello, HELLO_HEADER, helloHeader } from "./proof.ts";

export const LINK_PATH = "/cluster/link";

/** The status of an address at which another boot answers than the one that was meant. */
const MISDIRECTED = 421;

/** `address`: HOST:PORT. Throws AppError("misdirected") where another boot answers, else "provider_failed". */
export async function connectLink(
  address: string,
  hello: Hello,
  signal: AbortSignal,
): Promise<MessageSocket> {
  try {
    return await openSocket(`ws://${address}${LINK_PATH}`, {
      headers: { [HELLO_HEADER]: helloHeader(hello) },
      signal,
      messageBytesMax: FRAME_BYTES_MAX,
    });
  } catch (error) {
    if (error instanceof AppError && error.status === MISDIRECTED) {
      throw new AppError("misdirected", `Another boot answers at ${address}`, { cause: error });
    }
    throw error;
  }
}
