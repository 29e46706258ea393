/** One connection to Redis, in its own protocol (RESP 2). https://redis.io/docs/latest/develop/reference/protocol-spec/ */

/** A reply as it came: a status (`OK`) is told from text, since Upstash encodes only the latter. */
export type RedisReply =
  | { readonly type: "status" | "error" | "text"; readonly value: string }
  | { readonly type: "integer"; readonly value: number }
  | { readonly type: "null" }
  | { readonly type: "list"; readonly items: readonly RedisReply[] };

export interface RedisConnection {
  /** Commands are answered in the order in which they were sent. Rejects when the connection is lost. */
  send(command: readonly (string | number)[]): Promise<RedisReply>;
  close(): void;
}

export async function connectRedis(path: string): Promise<RedisConnection> {
  const connection = await Deno.connect({ transport: "unix", path });
  const reader = new LineReader(connection.readable.getReader());
  const writer = connection.writable.getWriter();
  let last: Promise<unknown> = Promise.resolve();

  async function exchange(command: readonly (string | number)[]): Promise<RedisReply> {
    await writer.write(encode(command));
    return await readReply(reader);
  }

  return {
    send(command) {
      const reply = last.then(() => exchange(command));
      last = reply.catch(() => {});
      return reply;
    },
    close() {
      try {
        connection.close();
      } catch { // it was lost before
        return;
      }
    },
  };
}

function encode(command: readonly (string | number)[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts = command.map((part) => {
    const text = String(part);
    return `$${encoder.encode(text).length}\r\n${text}\r\n`;
  });
  return encoder.encode(`*${command.length}\r\n${parts.join("")}`);
}

async function readReply(reader: LineReader): Promise<RedisReply> {
  const line = await reader.line();
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return { type: "status", value: rest };
    case "-":
      return { type: "error", value: rest };
    case ":":
      return { type: "integer", value: Number(rest) };
    case "$":
      if (rest === "-1") return { type: "null" };
      return { type: "text", value: await reader.text(Number(rest)) };
    case "*": {
      if (rest === "-1") return { type: "null" };
      const items: RedisReply[] = [];
      while (items.length < Number(rest)) items.push(await readReply(reader));
      return { type: "list", items };
    }
    default:
      throw new Error(`No reply of Redis: ${line}`);
  }
}

class LineReader {
  readonly #source: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  #held = new Uint8Array(0);

  constructor(source: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>) {
    this.#source = source;
  }

  /** Up to the next CR LF, which is read as well. */
  async line(): Promise<string> {
    let end = this.#held.indexOf(10);
    while (end === -1) {
      await this.#more();
      end = this.#held.indexOf(10);
    }
    return this.#take(end + 1).slice(0, -2);
  }

  async text(bytes: number): Promise<string> {
    while (this.#held.length < bytes + 2) await this.#more();
    const taken = this.#take(bytes);
    this.#take(2);
    return taken;
  }

  #take(bytes: number): string {
    const text = new TextDecoder().decode(this.#held.subarray(0, bytes));
    this.#held = this.#held.slice(bytes);
    return text;
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#source.read();
    if (done) throw new Error("Redis closed the connection");
    const joined = new Uint8Array(this.#held.length + value.length);
    joined.set(this.#held);
    joined.set(value, this.#held.length);
    this.#held = joined;
  }
}
